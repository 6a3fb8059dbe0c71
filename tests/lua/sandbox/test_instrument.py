"""The checks that are inserted into bytecode change no behaviour, and none is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from saros.model.errors import CodeError
from saros_lua.sandbox.chunks import compile_user

_SCRIPT = Path(__file__).with_name("differential.py")
_PROGRAMS = 40  # of one process


@pytest.mark.parametrize("first", range(0, 3 * _PROGRAMS, _PROGRAMS))
def test_programs_run_as_without_the_checks(first: int) -> None:
    command = [sys.executable, str(_SCRIPT), str(first), str(first + _PROGRAMS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    *differences, total = done.stdout.splitlines()
    assert not differences
    counts = json.loads(total)
    assert counts["ran"] > _PROGRAMS // 2
    assert counts["checks"] > _PROGRAMS


@pytest.mark.parametrize(
    "source", ["for i = 1, 2 do local t = {} end " * 40000, "f = " + "(" * 300 + "1" + ")" * 300]
)
def test_what_the_compiler_refuses_is_one_line(source: str) -> None:
    with pytest.raises(CodeError) as caught:
        compile_user(source.encode(), "app.lua")
    assert "\n" not in str(caught.value)
    assert caught.value.where == "app.lua:1"
