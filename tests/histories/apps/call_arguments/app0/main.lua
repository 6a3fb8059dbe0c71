local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
return {funcs.call("app:add", 1, nil, 3), (funcs.call("app:add"))}
end }
