local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local mine = ctx.get("tenant")
local changed = funcs.new():with_context({step = "two", tenant = "other"})
local _, missing = ctx.get("nothing")
return {mine, (funcs.call("app:reads")), changed:call("app:reads"), missing:kind()}
end }
