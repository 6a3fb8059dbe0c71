local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local result, err = funcs.call("app:fails")
return {result == nil, err:kind(), err:message(), err:retryable(), err:details().code, type(err), type(err.kind)}
end }
