local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local quick = funcs.new():with_options({["activity.retry_policy"] = {initial_interval = 10}})
return {quick:call("app:flaky", 2), (quick:call("app:flaky", 0))}
end }
