local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
if input.fail then return nil, errors.new{kind = "Broken", message = "x", details = {why = "test"}} end
return input.n + 1
end }
