local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local _, before = process.registry.lookup(input)
local ok = process.registry.register(input)
local pid = process.registry.lookup(input)
process.send(input, "to-name", 1)
local got = process.inbox():receive():topic()
local freed, again = process.registry.unregister(input), process.registry.unregister(input)
return {before:kind(), ok, pid == process.pid(), got, freed, again}
end }
