"""The same run gives the same commands, byte for byte, in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from saros_testing import lua_app

MAIN = """
local uuid, crypto, w = require("uuid"), require("crypto"), require("workflow")
local t, keys = {}, {}
for i = 1, 40 do t["k" .. math.random(1000)] = i t[i * 3] = {} end
t[true], t[1.5], t[errors.new("e")], t[channel.new(1)] = 3, 4, 5, 6
for key, value in pairs(t) do keys[#keys + 1] = tostring(key) .. "=" .. tostring(value) end
for key in next, t do keys[#keys + 1] = tostring(key) end
local list = {}
for i = 1, 200 do list[i] = math.random(50) end
table.sort(list, function(a, b) return a < b end)
local words = {}
for i = 1, 30 do words[i] = crypto.random.string(5) end
table.sort(words)
funcs.call("app:echo", {keys, list, words, uuid.v1(), uuid.v4(), uuid.v7(), os.time(), os.clock(), time.now()})
local done, order = channel.new(0), {}
for i = 1, 8 do
  coroutine.spawn(function()
    if i % 2 == 0 then time.sleep(math.random(1000) * time.MILLISECOND) end
    channel.select{done:case_send(i), time.after("1h"):case_receive()}
  end)
end
local generate = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(tostring({}) .. i) end end)
for i = 1, 8 do order[i] = done:receive() end
w.attrs({search = {first = order[1]}, memo = {z = 1, a = 2, m = {y = 1, b = 2}}})
w.version("change", 1, 3)
w.side_effect(function() return math.random(1 << 30) end)
local futures = {}
for i = 1, 4 do futures[i] = funcs.async("app:echo", {i, generate and i < 4 and generate() or "", tostring(done)}) end
for i = 4, 1, -1 do futures[i]:channel():receive() end
return {order, tostring(function() end), math.random(), string.format("%s", {}), #tostring(errors.new("x"):stack())}
"""

DRIVE = """
import hashlib, json, sys
from saros.model import values
from saros.app.loading import load_app
from saros.engine.live import Live
from saros.model.execution import Run
from saros.model.records import CALL, DONE, SIDE_EFFECT, START, TIMER, Event, Start, StartTimer, pack, unpack
import msgspec

deployment = load_app(sys.argv[1])
run = Run("order-1", "run-1", "app:main", "app:main", "app:worker", "main", 1_700_000_000_000_000_000)
live = Live(run, deployment)
now, digest, count = run.start_time, hashlib.sha256(), 0
info = msgspec.Raw(b'{"workflow_id":"order-1"}')
start = Start(msgspec.Raw(b"[]"), msgspec.Raw(b"{}"), info, "p", "app:main", secret="ab" * 32)
waiting = [(now, 0, Event(START, 0, pack(start), now))]
while waiting and not live.closed:
    waiting.sort(key=lambda item: item[:2])
    due, _, event = waiting.pop(0)
    now = max(now, due)
    for record in live.deliver([Event(event.op, event.ref, event.body, now)]):
        if record.op != SIDE_EFFECT:  # its random numbers are the system's
            digest.update(repr(record).encode() + b"\\n")
        count += 1
        if record.op == TIMER:
            wait = unpack(record.body, StartTimer).ns
            waiting.append((now + wait, record.ref, Event(DONE, record.ref, b"{}", 0)))
        elif record.op == CALL:
            waiting.append((now + 1_000_000, record.ref, Event(DONE, record.ref, b'{"ok":1}', 0)))
print(live.closed, count, digest.hexdigest())
"""


def test_ten_processes_give_the_same_commands(tmp_path: Path) -> None:
    app = lua_app(tmp_path / "app", workflows={"main": MAIN}, functions={"echo": "return input"})
    script = tmp_path / "drive.py"
    script.write_text(DRIVE)
    path = os.pathsep.join(sys.path)
    running = [
        subprocess.Popen(
            [sys.executable, str(script), str(app)],
            env={
                **os.environ,
                "PYTHONHASHSEED": str(seed),
                "PYTHONPATH": path,
                "TZ": ("UTC", "Asia/Tokyo")[seed % 2],
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(10)
    ]
    told = []
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        told.append(out.strip())
    assert len(set(told)) == 1, told
    assert told[0].startswith("True ")
    assert int(told[0].split()[1]) > 30
