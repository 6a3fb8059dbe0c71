"""Error messages that quote a user's value are short and contain no control characters, wherever they are shown."""

from __future__ import annotations

import asyncio
import re
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from saros.model.errors import Error
from saros.model.text import LONGEST
from saros_testing import lua_app
from saros_testing.apps import EVERY_MODULE
from saros_testing.cases import TestApp

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
SECRET = "hunter2-secret"
# Each gives an error whose message tells of the text V.
PLACES = """
  local json, time, crypto = require("json"), require("time"), require("crypto")
  local uuid, ctx, env, http = require("uuid"), require("ctx"), require("env"), require("http_client")
  local hash, base64 = require("hash"), require("base64")
  local named = {[V] = 1}
  local places = {
    function() return funcs.call(V) end,
    function() return funcs.call("a:" .. V) end,
    function() return funcs.new():with_options({["activity." .. V] = 1}) end,
    function() return funcs.new():with_options(named) end,
    function() return funcs.new():with_options({["activity.start_to_close_timeout"] = V}) end,
    function() return funcs.new():with_options({["activity.retry_policy"] = named}) end,
    function() return process.send(V, "topic") end,
    function() return process.send("nobody", "@" .. V) end,
    function() return process.spawn(V, "app:host") end,
    function() return process.spawn("app:other", V) end,
    function() return process.monitor(V) end,
    function() return process.cancel(V, "1s") end,
    function() return process.terminate(V) end,
    function() return process.set_options(named) end,
    function() return process.registry.lookup(V) end,
    function() return process.registry.register("name", V, V) end,
    function() return payload.new(1):transcode(V) end,
    function() return payload.new({[1] = 1, [V] = 2}):transcode("json/plain") end,
    function() return json.encode({[V] = function() end}) end,
    function() return json.encode({[1] = 1, [V] = 2}) end,
    function() return json.decode(V) end,
    function() return json.decode('{"a": ' .. V) end,
    function() return json.validate({type = "integer"}, V) end,
    function() return json.validate({enum = {V}}, 1) end,
    function() return json.validate({type = V}, 1) end,
    function() return time.parse(V, "x") end,
    function() return time.parse("2006", V) end,
    function() return time.parse_duration(V) end,
    function() return time.sleep(V) end,
    function() return time.load_location(V) end,
    function() return uuid.validate(V) end,
    function() return uuid.version(V) end,
    function() return uuid.format(uuid.v4(), V) end,
    function() return ctx.get(V) end,
    function() return env.get(V) end,
    function() return hash.sha256({V}) end,
    function() return base64.decode(V) end,
    function() return crypto.pbkdf2("p", "s", 1, 16, V) end,
    function() return crypto.jwt.encode({}, "k", V) end,
    function() return crypto.jwt.verify(V, "k", "HS256") end,
    function() return http.get(V) end,
    function() return http.get("http://user:" .. V .. "@localhost:1/") end,
    function() return http.get("http://localhost:1/", named) end,
    function() return http.get("http://localhost:1/", {headers = named}) end,
    function() return http.get("http://localhost:1/", {timeout = V}) end,
    function() return http.request(V, "http://localhost:1/") end,
    function() return require(V) end,
    function() channel.new(0)[V] = 1 end,
    function() return errors.new({message = named}) end,
    function() return funcs.call("app:other", named, {[V] = print}) end,
    function() return require("logger"):info("x", {[V] = print}) end,
    function() return os[V]() end,
  }
  if number > #places then return false end
  local ok, value, err = pcall(places[number])
  if not ok then err = value end
  return err ~= nil and tostring(err) or ""
"""


@pytest.fixture(scope="module")
def app_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tell: dict[str, Any] = {"name": "tell", "kind": "function.lua", "source": "file://tell.lua"}
    tell["modules"] = [*EVERY_MODULE, "env", "http_client"]
    return lua_app(
        tmp_path_factory.mktemp("messages"),
        functions={"other": "return 1"},
        entries=[tell],
        files={"tell.lua": f"return function(V, number) {PLACES} end"},
    )


async def told_of(text: str, path: Path) -> list[str]:
    """The messages of all places."""
    told: list[str] = []
    async with TestApp(path) as app:
        while True:
            try:
                message = await app.call("app:tell", text, len(told) + 1)
            except Error as error:  # what a program is stopped with
                message = error.message
            if message is False:
                return told
            # A message of Lua's own may hold a part of a character.
            told.append(message.decode(errors="replace") if isinstance(message, bytes) else message)


def evil() -> st.SearchStrategy[str]:
    return st.text(
        st.sampled_from('\x00\x07\x1b\n\r\t\x7f\x85\x9b\u2028\u2029a%é:@"'), min_size=1, max_size=30
    )


@given(text=evil())
@example(text="x" * 1_000_000)
@example(text="\x1b[2J\n" * 100_000)
@example(text="é" * 150_001)
@example(text=f"temporal://user:{SECRET}@host/")
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_messages_of_values_are_short_and_plain(text: str, app_path: Path) -> None:
    told = asyncio.run(told_of(text, app_path))
    for number, message in enumerate(told, 1):
        assert len(message) <= LONGEST + 200, (number, len(message), message[:300])
        assert not CONTROLS.search(message), (number, message[:300])
    assert sum(map(bool, told)) > len(told) // 2, "most places refuse it"


def test_passwords_of_urls_are_not_told(app_path: Path) -> None:
    told = asyncio.run(told_of(urllib.parse.quote(SECRET), app_path))
    assert not any(SECRET in message for message in told if "localhost" in message)
