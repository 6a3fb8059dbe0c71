-- The wire codec: values that cross a boundary, as JSON (the rules are in saros/values.py).
local rt = ...
local raw = rt.raw
local core = rt.library("json_core")
local type, next = raw.type, raw.next
local gsub, find, sub = raw.string.gsub, raw.string.find, raw.string.sub

-- Tables that were `{}` on the wire, so that an empty one stays an object when it crosses again.
local empty_objects = raw.setmetatable({}, { __mode = "k" })

