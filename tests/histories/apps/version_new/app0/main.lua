local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local w = require("workflow")
local first = w.version("change", 1, 3)
time.sleep("10ms")
return {first, w.version("change", 1, 3), w.version("other", 1, 1)}
end }
