local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local ok, err = time.sleep("1h")
process.events()
local undone = funcs.call("app:echo", "undone")
return nil, errors.new{kind = errors.CANCELED, message = tostring(err) .. " " .. undone}
end }
