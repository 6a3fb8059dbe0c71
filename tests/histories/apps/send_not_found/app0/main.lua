local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local ok, err = process.send("nobody-here", "ping")
local ok2, err2 = process.send("app:worker|no-such-workflow", "ping")
return {ok == nil, err:kind(), err:retryable(), tostring(err), ok2 == nil, err2:kind()}
end }
