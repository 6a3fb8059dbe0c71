local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local w, uuid, crypto = require("workflow"), require("uuid"), require("crypto")
local function draw()
  return {uuid.v4(), uuid.v7(), crypto.random.string(16), math.random(1 << 62), uuid.v1(), math.randomseed()}
end
local drawn = {}
w.on_query("drawn", function() return drawn end)
drawn = {draw(), w.side_effect(draw), draw(), w.side_effect(draw), draw()}
return drawn
end }
