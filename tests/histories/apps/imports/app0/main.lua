local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
return {require("lib").twice(4), require("lib") == require("lib"), (funcs.call("app:uses", 5))}
end }
