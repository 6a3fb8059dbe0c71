local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local v = require("workflow").version("early", 1, 2)
process.inbox():receive()
return v
end }
