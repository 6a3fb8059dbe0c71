local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local _, err = funcs.call("app:nothing") return {err:kind(), err:retryable(), tostring(err)}
end }
