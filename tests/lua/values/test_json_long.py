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


@pytest.mark.parametrize("blanks", [" ", "\\t\\r\\n "])
@pytest.mark.parametrize("times", [10, 16_000, 40_000])
def test_blanks_are_skipped_however_many(run: Any, blanks: str, times: int) -> None:
    code = f"""
      local json, b = require("json"), ("{blanks}"):rep({times})
      local spread = ('_{{_"a"_:_[1_,_-2.5_]_}}_'):gsub("_", b)
      local _, err = json.decode(b .. "1" .. b .. "!")
      return {{json.encode(json.decode(spread)), err ~= nil, json.decode("1" .. b)}}
    """
    assert run(code) == ['{"a":[1,-2.5]}', True, 1]


@pytest.mark.parametrize("tail", ["", " ", ("," + "7" * 300) * 300])
def test_numbers_have_a_thousand_characters_at_most(run: Any, tail: str) -> None:
    code = f"""
      local json, tail = require("json"), "{tail}"
      local function read(digits) return json.decode("[0." .. ("1"):rep(digits - 2) .. tail .. "]") end
      local _, err = read(1001)
      return {{read(1000)[1], err and err:message()}}
    """
    value, message = run(code)
    assert value == pytest.approx(1 / 9)
    assert message == "not valid JSON: a number of more than 1000 characters at line 1, column 2"
