local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
time.sleep("1h")
process.events()
time.sleep("50ms")
return "tidied up"
end }
