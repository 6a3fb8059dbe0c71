local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local future = funcs.async("app:slow")
time.sleep("50ms")
future:cancel()
local none, err = future:result()
return {future:is_canceled(), future:is_complete(), none == nil, err:kind(), tostring(err)}
end }
