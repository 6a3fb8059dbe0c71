local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local pid = process.spawn("app:counter", "app:host", process.pid())
local hello = process.inbox():receive()
process.send(pid, "add", 2) process.send(pid, "add", 3) process.send(pid, "stop")
local e = process.events():receive()
return {hello:from() == pid, e.kind, e.from == pid, e.result.value}
end }
