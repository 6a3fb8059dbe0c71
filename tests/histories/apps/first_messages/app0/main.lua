local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local spawner = process.with_options({}):with_message("a", 1):with_message("b", 2)
return spawner:exec("app:reads", "app:worker")
end }
