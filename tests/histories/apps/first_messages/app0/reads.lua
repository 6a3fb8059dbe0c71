local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local inbox, got = process.inbox(), {}
for i = 1, 2 do
  local msg = inbox:receive()
  got[i] = {msg:topic(), msg:payload():data(), msg:from() ~= ""}
end
return got
end }
