local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local a = process.listen("a")
local b = process.listen("b", {message = true})
local same = process.listen("a") == a and process.inbox() == process.inbox()
local one = a:receive()
local two = b:receive():topic()
local rest = process.inbox():receive():topic()
return {one, two, rest, same}
end }
