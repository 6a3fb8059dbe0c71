"""The data converter: Saros's JSON is what every SDK's default converter writes, so only a codec is added.

A codec (compression, encryption) is any `temporalio.converter.PayloadCodec`. The backend takes it from its
option ``codec`` (an object) or from ``SAROS_TEMPORAL_CODEC`` (``package.module:callable``, which makes one).
"""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Mapping
from typing import Any

from temporalio.converter import DataConverter, PayloadCodec

from saros.model.errors import INVALID, Error

ENVIRONMENT = "SAROS_TEMPORAL_CODEC"


def data_converter(options: Mapping[str, Any]) -> DataConverter:
    """The converter of a backend with these options.

    :raises Error: INVALID when the codec cannot be loaded.
    """
    codec = options.get("codec") or os.environ.get(ENVIRONMENT)
    if codec is None or codec == "":
        return DataConverter.default
    if isinstance(codec, str):
        codec = _load(codec)
    if not isinstance(codec, PayloadCodec):
        raise Error(f"{codec!r} is no temporalio PayloadCodec", INVALID, retryable=False)
    return dataclasses.replace(DataConverter.default, payload_codec=codec)


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)()
    except Exception as exc:  # a stranger's code, and any mistake in its name
        raise Error(
            f"cannot make the payload codec {path}: {type(exc).__name__}: {exc}",
            INVALID,
            retryable=False,
            hint=f"{ENVIRONMENT} is package.module:callable, which gives a PayloadCodec",
        ) from exc
