local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
time.sleep("100ms")
local got, inbox = {}, process.inbox()
for i = 1, 20 do got[i] = inbox:receive():payload():data() end
return got
end }
