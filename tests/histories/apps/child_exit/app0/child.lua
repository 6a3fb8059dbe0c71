local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
if input == 0 then return nil, errors.new("Bad", "zero") end return input * 10
end }
