local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local count = input
local inbox = process.inbox()
for _ = 1, 3 do
  local msg = inbox:receive()
  if msg:topic() == "end" then return count end
  count = count + 1
end
require("workflow").continue_as_new(count)
end }
