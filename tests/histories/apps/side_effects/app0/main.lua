local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local v = require("workflow").side_effect(function() return {n = math.random(1, 1000000)} end)
time.sleep("10ms")
return v.n >= 1
end }
