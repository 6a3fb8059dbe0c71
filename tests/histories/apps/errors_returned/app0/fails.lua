local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
return nil, errors.new{message = "declined", kind = "CardDeclined", retryable = false, details = {code = 7}}
end }
