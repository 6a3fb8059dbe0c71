local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local back, err = funcs.call("app:echo", input) if err then error(err) end return back
end }
