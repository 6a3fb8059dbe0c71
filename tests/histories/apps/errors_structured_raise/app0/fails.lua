local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
error(errors.new{kind = "Custom", message = "m", details = {n = 1}})
end }
