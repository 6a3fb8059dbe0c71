-- `utf8` for user code: Lua's, charged by the length of the text.
local rt = ...
rt.lasting()
local raw, linear = rt.raw, rt.linear

local utf8 = {}
for name, value in raw.next, raw.utf8 do
  utf8[name] = value
end
utf8.len, utf8.offset, utf8.codepoint = linear(utf8.len), linear(utf8.offset), linear(utf8.codepoint)

return utf8
