local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local done = channel.new(10)
for i = 1, 5 do
  coroutine.spawn(function() done:send((funcs.call("app:echo", i))) end)
end
local sum = 0
for i = 1, 5 do sum = sum + done:receive() end
return sum
end }
