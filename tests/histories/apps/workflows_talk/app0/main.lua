local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local pid = process.spawn("app:pong", "app:worker")
process.send(pid, "ping", process.pid(), 1)
return process.inbox():receive():payload():data()
end }
