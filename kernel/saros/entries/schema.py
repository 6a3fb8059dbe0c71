"""The JSON Schema of an app's YAML files, for editors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .kinds import Kind
from .loader import by_name


def json_schema(kinds: Iterable[Kind]) -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) that accepts every file of entries which `load` accepts.

    What goes beyond one file (references, sources) only `load` can check, and unknown keys are
    allowed because they are warnings.
    """
    known = by_name(kinds)
    body = {
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in known
        ]
    }
    entry = {
        "type": "object",
        "required": ["name", "kind"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "description": "With the namespace, the entry's id."},
            "kind": {"enum": list(known), "description": "What the entry is."},
        },
        **body,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Saros entries",
        "type": "object",
        "if": {"anyOf": [{"required": ["namespace"]}, {"required": ["entries"]}]},
        "then": {
            "required": ["namespace"],
            "properties": {
                "namespace": {"type": "string", "minLength": 1, "description": "First part of the ids."},
                "version": {"enum": ["1.0", "1", 1.0]},
            },
            "if": {"required": ["entries"]},
            "then": {"properties": {"entries": {"type": "array", "items": {"$ref": "#/$defs/entry"}}}},
            "else": {"$ref": "#/$defs/entry"},
        },
        "$defs": {"entry": entry, **{name: kind.schema() for name, kind in known.items()}},
    }
