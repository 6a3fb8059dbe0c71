-- `utf8` for user code: Lua's, charged by the length of the string.
local rt = ...
rt.lasting()
local raw, linear = rt.raw, rt.linear

local utf8 = {}
for name, value in raw.next, raw.utf8 do
  utf8[name] = value
end
utf8.len, utf8.offset = linear(utf8.len), linear(utf8.offset)

local codepoint, check_range = utf8.codepoint, nil

function utf8.codepoint(s, i, j, ...)
  if j and raw.type(s) == "string" then
    check_range = check_range or rt.library("string") and rt.check_range
    check_range("utf8.codepoint", s, i, j)
  end
  return rt.finish(raw.pcall(codepoint, s, i, j, ...))
end

local char = utf8.char

function utf8.char(...)
  return rt.charged_result(raw.pcall(char, ...))
end

return utf8
