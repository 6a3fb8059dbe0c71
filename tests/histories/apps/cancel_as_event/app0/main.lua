local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local events = process.events()
local e = events:receive()
time.sleep("10ms")
return {e.kind, e.reason}
end }
