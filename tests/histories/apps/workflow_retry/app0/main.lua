local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local attempt = require("workflow").info().attempt
if attempt < 3 then return nil, errors.new{message = "again", retryable = true} end
return attempt
end }
