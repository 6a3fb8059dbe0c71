"""Registers ``temporal://``.

temporal://host:port/namespace   that server
temporal://                      the server of the app's ``temporal.client`` entry

With an explicit address, the ``auth``, ``tls`` and timing keys of the app's client entry still apply. In an app with
several client entries, the URL replaces the address of the first worker's entry; the others keep theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import saros
from saros.app.hookspecs import BackendPlugin
from saros.interfaces.backend import Backend


def make(url: str, options: Mapping[str, Any]) -> Backend:
    """Return a backend for a ``temporal://`` URL.

    :raises Error: INVALID when the URL is not valid.
    """
    from .backend import TemporalBackend

    return TemporalBackend(url, options)


def replay(document: Any, deployment: Any) -> int | None:
    """Replay a history that Temporal's CLI or UI exported.

    :return: its number of events; None when the document is not such a history.
    """
    if not isinstance(document, dict) or not isinstance(document.get("events"), list):
        return None
    if document.get("format") or not all("eventId" in event for event in document["events"]):
        return None
    from .worker.workflow_runner import replay_exported

    return replay_exported(document, deployment)


@saros.hookimpl
def saros_backends() -> list[BackendPlugin]:
    return [BackendPlugin("temporal", make, "a Temporal service", replay)]
