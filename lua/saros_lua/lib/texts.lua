-- `string` for user code, without patterns (search.lua): as in Lua, but bounded and charged.
--
-- A C function counts as one instruction however long it runs. Those whose time grows with their input
-- are charged by size.
local rt = ...
rt.lasting()
local raw, env = rt.raw, rt.env
local type, error, pcall, select, next = raw.type, raw.error, raw.pcall, raw.select, raw.next
local charge, reserve, finish = rt.charge, rt.reserve, rt.finish
local linear, charged_result = rt.linear, rt.charged_result
local text, tables = raw.string, raw.table
local find, gsub = text.find, text.gsub
local tostring, math_type = env.tostring, raw.math.type

local str = {}
for name, value in next, text do
  str[name] = value
end
str.dump = nil

str.upper, str.lower, str.reverse = linear(text.upper), linear(text.lower), linear(text.reverse)
str.unpack = linear(text.unpack)

function str.pack(...)
  return charged_result(pcall(text.pack, ...))
end

local MAX_REPEAT = 16 << 20 -- bytes
local repeated = text.rep

function str.rep(...)
  local s, n, separator = ...
  if type(s) == "string" and math_type(n) == "integer" and n > 0 then
    local size = #s + (type(separator) == "string" and #separator or 0)
    if size == 0 then
      return ""
    elseif n > MAX_REPEAT // size then
      error("string.rep: the result would be larger than 16 MiB", 2)
    end
    if n > 1000 or size > 1000 then
      reserve(n * size)
      charge(n // 4 + n * size // 64)
    elseif separator == nil then
      return repeated(s, n)
    end
  elseif n ~= nil then -- a float or a text as a count, or a mistake
    local integer = raw.math.tointeger(raw.tonumber(n))
    if type(s) == "number" then
      s = raw.tostring(s)
    end
    if type(s) == "string" and integer and integer > 0 then
      return str.rep(s, integer, separator)
    end
  end
  return finish(pcall(repeated, ...))
end

-- Formats --------------------------------------------------------------------------------------------

-- Whether all are texts or proper numbers, which string.format handles as it should.
local function all_plain(n, value, ...)
  local kind = type(value)
  if kind == "string" or kind == "number" and value == value then
    return n == 1 or all_plain(n - 1, ...)
  end
  return false
end

-- Addresses and the sign of NaN would show: such values are turned into texts first.
local function tamed(fmt, ...)
  local args, at = tables.pack(...), 0
  local function conversion(flags, letter)
    if letter == "%" then
      return nil
    end
    at = at + 1
    local value = args[at]
    if letter == "s" and at <= args.n then
      args[at] = tostring(value)
    elseif value ~= value and find(letter, "[aAeEfgG]") then
      args[at] = find(letter, "%u") and "NAN" or "nan"
      return "%" .. gsub(gsub(flags, "%.%d*", ""), "[0+ #]*", "", 1) .. "s"
    end
  end
  fmt = gsub(fmt, "%%([-+ #0-9.]*)(.)", conversion)
  return text.format(fmt, tables.unpack(args, 1, args.n))
end

local formats, n_formats = {}, 0 -- those that are known to be without %p

function str.format(fmt, ...)
  local n = select("#", ...)
  if type(fmt) == "string" then
    if not formats[fmt] then
      charge(#fmt)
      if find(fmt, "%%[-+ #0-9.]*p") and find(gsub(fmt, "%%%%", ""), "%%[-+ #0-9.]*p") then
        error("string.format: %p is not available, addresses differ from run to run; use %s", 2)
      end
      if n_formats >= 200 then
        formats, n_formats = {}, 0
      end
      formats[fmt], n_formats = true, n_formats + 1
    end
    if n > 0 and not all_plain(n, ...) then
      return charged_result(pcall(tamed, fmt, ...))
    end
  end
  return charged_result(pcall(text.format, fmt, ...))
end

return str
