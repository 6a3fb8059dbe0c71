local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
process.inbox():receive()
local v = require("workflow").version("change", 1, 2)
if v == 1 then return "old " .. v end
return "new " .. v
end }
