local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local order, done = {}, channel.new(3)
for _, ms in ipairs({300, 100, 200}) do
  coroutine.spawn(function() time.sleep(ms * time.MILLISECOND) order[#order + 1] = ms done:send(true) end)
end
for _ = 1, 3 do done:receive() end
return order
end }
