"""Where the callables of ``function.python`` entries come from."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from saros_testing import TestApp, lua_app


def an_app(path: Path, text: str) -> Path:
    files = {
        "tools.py": "import tools_help\nimport json\n\ndef who():\n    return tools_help.NAME, json.__name__\n",
        "tools_help.py": f"NAME = {text!r}\n",
        "json.py": "raise RuntimeError('this hides a module that is loaded already')\n",
    }
    return lua_app(path, python={"who": "tools:who"}, files=files)


def test_each_app_of_a_process_has_its_own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])

    async def scenario() -> None:
        async with TestApp(an_app(tmp_path / "one", "one")) as one:
            assert await one.call("app:who") == ["one", "json"]
            async with TestApp(an_app(tmp_path / "two", "two")) as two:
                assert await two.call("app:who") == ["two", "json"]
                assert await one.call("app:who") == ["one", "json"]

    asyncio.run(scenario())
    assert json.loads("1") == 1
