local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local ok, caught = pcall(error, errors.new("Custom", "inside"))
local _, err = funcs.call("app:fails")
return {ok, caught:kind(), err:kind(), err:details().n, errors.is(err, "Custom"), errors.is("x", "Custom")}
end }
