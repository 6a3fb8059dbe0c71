local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local reply_to, n = process.inbox():receive():payload()
process.send(reply_to:data(), "pong", n:data() + 1)
end }
