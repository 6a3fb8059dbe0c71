"""The JSON Schema that editors use agrees with `load`."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import jsonschema_rs
import pytest
import yaml

from saros.entries import AppError, json_schema

from .conftest import KINDS, Load
from .test_load import LIBRARY, ORDERS

SCHEMA = json_schema(KINDS)


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema_rs.meta.validate(SCHEMA)
    return jsonschema_rs.Draft202012Validator(SCHEMA)


VALID = {
    "orders": ORDERS,
    "single": LIBRARY,
    "other YAML": "kind: Deployment\nname: 5\n",
    "environment": """
        namespace: app
        entries:
        - {name: h, kind: process.host, host: {workers: "${env:N|2}"}, lifecycle: {auto_start: "${env:A|no}"}}
        - {name: c, kind: temporal.client, keep_alive_time: "${env:T|30s}", auth: {type: "${env:TYPE|none}"}}
        """,
    "unknown keys": "namespace: app\nname: h\nkind: process.host\nhots: {}\n",
    "durations": "namespace: app\nname: c\nkind: temporal.client\nkeep_alive_time: 1h3m\nkeep_alive_timeout: 5\n",
    "empty tables": "namespace: app\nname: h\nkind: process.host\nmeta:\nhost:\n",
    "version": "version: 1.0\nnamespace: app\nname: h\nkind: process.host\n",
}

INVALID = {
    "no namespace": "entries: []",
    "entries": "namespace: app\nentries: {}",
    "kind": "namespace: app\nentries: [{name: x, kind: nope}]",
    "no kind": "namespace: app\nentries: [{name: x}]",
    "no name": "namespace: app\nkind: process.host",
    "missing": "namespace: app\nentries: [{name: x, kind: function.lua}]",
    "type": "namespace: app\nname: x\nkind: process.host\nhost: {workers: many}",
    "nested": "namespace: app\nname: x\nkind: process.host\nlifecycle: {depends_on: x}",
    "choice": "namespace: app\nname: x\nkind: temporal.client\nauth: {type: password}",
    "duration": "namespace: app\nname: x\nkind: temporal.client\nkeep_alive_time: soon",
    "call": "namespace: app\nname: x\nkind: function.python\ncall: nothing",
    "source": "namespace: app\nname: x\nkind: library.lua\nsource: a.lua",
}


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_what_loads_is_valid(validator: Any, app: Load, text: str) -> None:
    validator.validate(yaml.safe_load(dedent(text)))
    other = LIBRARY if text is ORDERS else "namespace: other\nname: h\nkind: process.host\n"
    where = "lib/x.yaml" if text is LIBRARY else "x.yaml"
    assert app({where: text, "other/y.yaml": other}).entries


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_what_is_invalid_does_not_load(validator: Any, app: Load, text: str) -> None:
    assert not validator.is_valid(yaml.safe_load(text))
    with pytest.raises(AppError):
        app(text)


def test_every_kind_is_described() -> None:
    assert set(SCHEMA["$defs"]) == {"entry", *(kind.name for kind in KINDS)}
    workflow = SCHEMA["$defs"]["workflow.lua"]
    assert workflow["description"] == "A durable workflow."
    assert workflow["required"] == ["source"]
    temporal = workflow["properties"]["meta"]["properties"]["temporal"]
    assert set(temporal["properties"]["workflow"]["properties"]) == {"worker", "name"}
