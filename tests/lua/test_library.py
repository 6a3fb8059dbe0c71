"""The files of the Lua library, which lie in rooms."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import saros_lua
from saros_lua.library import chunk_files

LIB = Path(saros_lua.__file__).parent / "lib"


def test_every_chunk_has_a_name_of_its_own() -> None:
    files = sorted(LIB.rglob("*.lua"))
    assert sorted(chunk_files().values()) == files
    assert [name for name, count in Counter(file.stem for file in files).items() if count > 1] == []


def test_a_room_holds_few_chunks() -> None:
    assert {room.name: n for room in LIB.iterdir() if (n := len(list(room.glob("*.lua")))) > 12} == {}
