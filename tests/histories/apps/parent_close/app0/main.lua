local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
for _, policy in ipairs({"terminate", "abandon", "request_cancel"}) do
  process.with_options({
    ["workflow.id"] = input .. "-" .. policy, ["workflow.parent_close_policy"] = policy,
  }):spawn("app:waits", "app:worker")
end
return true
end }
