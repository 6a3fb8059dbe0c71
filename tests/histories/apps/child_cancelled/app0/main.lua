local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local result, err = require("workflow").call("app:waits")
return {result == nil, err:kind()}
end }
