"""Input and output: negative numbers, byte order marks, closed and full streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FILES = {
    "_index.yaml": "namespace: app\nname: echo\nkind: function.lua\nsource: file://echo.lua\n",
    "echo.lua": "\ufeffreturn function(...)\r\n  local given = {...}\r\n  return given\r\nend\r\n",
}
RUN = [sys.executable, "-m", "saros"]


@pytest.mark.parametrize("text", ["-5", "-0.5", "-1e3"])
def test_a_negative_number_is_an_argument(cli: Any, write: Any, text: str) -> None:
    app = write(FILES)
    assert cli("call", app, "app:echo", text, "7", "--json").json == [float(text), 7]
    assert cli("call", "--json", app, "app:echo", "--", text).json == [float(text)]
    assert cli("call", app, "app:echo", "-x").status == 2


def test_a_bom_and_crlf_are_accepted(cli: Any, write: Any, tmp_path: Path) -> None:
    app = write(FILES)
    (tmp_path / "given.json").write_bytes(b'\xef\xbb\xbf{"a":\r\n1}\r\n')
    assert cli("call", app, "app:echo", "@../given.json", "--json").json == [{"a": 1}]
    assert cli("call", app, "app:echo", "-", "--json", stdin="\ufeff[1]").json == [[1]]
    assert cli("check", app).err == ""


def closing(command: str, app: str) -> subprocess.CompletedProcess[str]:
    """Run `saros call` in a shell with redirections, such as ``>&-``."""
    shell = f'"{sys.executable}" -m saros call {app} app:echo 5 --json {command}'
    env = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(["sh", "-c", shell], capture_output=True, text=True, env=env, timeout=120)


@pytest.mark.parametrize("how", ["<&-", "2>&-", "<&- 2>&-", "2>/dev/full"])
def test_closed_streams_do_not_abort(write: Any, how: str, cli: Any) -> None:
    done = closing(how, write(FILES))
    assert (done.returncode, done.stdout) == (0, "[5]\n")


@pytest.mark.parametrize("how", [">&-", ">/dev/full", "<&- >&-"])
def test_a_result_that_cannot_be_written_is_an_error(write: Any, how: str, cli: Any) -> None:
    done = closing(how, write(FILES))
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write to stdout")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
