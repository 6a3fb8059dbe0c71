local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local good = funcs.async("app:echo", {n = 1})
local bad = funcs.async("app:fails")
local pending = good:is_complete()
local p, ok = good:channel():receive()
local e, eok = bad:response():receive()
local value, verr = good:result()
local none, err = bad:result()
local e2, failed = bad:error()
local e3, fine = good:error()
return {pending, p:data().n, ok, e:kind(), eok,
  value:data().n, verr == nil, none == nil, err:kind(), failed, fine}
end }
