local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local total, w = 0, require("workflow")
w.on_update("add", function(n)
  total = total + funcs.call("app:echo", n)
  return total
end, function(n) if n < 0 then error(errors.new("TooSmall", "n is negative")) end end)
process.inbox():receive()
return total
end }
