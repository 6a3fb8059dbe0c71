local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local pid = process.spawn("app:waits", "app:worker")
local ok = process.terminate(pid)
local e = process.events():receive()
return {ok, e.kind, e.from == pid, e.error ~= nil}
end }
