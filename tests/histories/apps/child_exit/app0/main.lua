local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local good = process.spawn("app:child", "app:worker", 1)
local bad = process.spawn("app:child", "app:worker", 0)
local seen, events = {}, process.events()
for _ = 1, 2 do
  local e = events:receive()
  local name = e.from == good and "good" or e.from == bad and "bad" or "?"
  seen[name] = {e.kind, e.result.value or false, e.error and e.error:message() or false}
end
return seen
end }
