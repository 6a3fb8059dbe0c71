local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
process.inbox():receive() return 1
end }
