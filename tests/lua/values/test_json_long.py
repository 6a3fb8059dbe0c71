"""JSON of long texts, by the json module."""

from __future__ import annotations

from typing import Any

import pytest


def test_faults_in_long_texts_are_told_in_time(run: Any) -> None:
    code = """
      local json = require("json")
      local _, spaces = json.decode("[" .. (" "):rep(400000) .. "\\n!")
      local _, lines = json.decode("[" .. ("\\n"):rep(1000) .. "  !")
      local _, deep = json.decode(("["):rep(200))
      return {spaces:message(), lines:message(), deep:message()}
    """
    assert run(code) == [
        "not valid JSON: an unexpected character at line 2, column 1",
        "not valid JSON: an unexpected character at line 1001, column 3",
        "not valid JSON: nested deeper than 128 levels at line 1, column 129",
    ]


@pytest.mark.parametrize("piece", ["x", r"\\", r"\"", r"\n\1\127", r"\u{e9}", r"\u{1F600}/"])
def test_long_strings_are_read_and_written_as_short_ones(run: Any, piece: str) -> None:
    code = f"""
      local json, bad, piece = require("json"), 0, "{piece}"
      local long = piece:rep(90000 // #piece)
      local text = json.encode({{key = long, list = {{long, "end"}}}})
      local back = json.decode(text)
      if back.key ~= long or back.list[1] ~= long or back.list[2] ~= "end" then bad = bad + 1 end
      local short = json.encode(piece)
      if json.encode(long) ~= '"' .. short:sub(2, -2):rep(90000 // #piece) .. '"' then bad = bad + 1 end
      return bad
    """
    assert run(code) == 0
