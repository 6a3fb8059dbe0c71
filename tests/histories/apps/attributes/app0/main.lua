local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local ok = require("workflow").attrs({
  search = {customer = input, total = 12.5, items = 3, vip = true, tags = {"a", "b"}},
  memo = {notes = "call first"},
})
process.inbox():receive()
return ok
end }
