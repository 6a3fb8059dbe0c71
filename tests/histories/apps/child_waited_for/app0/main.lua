local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local patient = process.with_options({["workflow.wait_for_cancellation"] = true})
return {patient:exec("app:tidies", "app:worker")}
end }
