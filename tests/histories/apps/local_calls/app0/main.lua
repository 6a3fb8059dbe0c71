local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local sum = 0
for i = 1, 5 do sum = sum + funcs.call("app:echo", i) end
local forced = funcs.new():with_options({["activity.local"] = true}):call("app:other", 7)
return {sum, forced}
end }
