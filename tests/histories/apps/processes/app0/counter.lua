local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
process.send(input, "hello")
local sum = 0
while true do
  local msg = process.inbox():receive()
  if msg:topic() == "stop" then return sum end
  sum = sum + msg:payload():data()
end
end }
