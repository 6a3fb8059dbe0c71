local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
if input < 3 then require("workflow").continue_as_new(input + 1) end
return {input, ctx.get("tenant"), require("workflow").info().workflow_id}
end }
