-- `string` for user code, without patterns (search.lua): as in Lua, but bounded and charged.
--
-- A C function counts as one instruction however long it runs. Those whose time grows with their input
-- are charged by size.
local rt = ...
rt.lasting()
local raw, env = rt.raw, rt.env
local type, error, pcall, select, next = raw.type, raw.error, raw.pcall, raw.select, raw.next
local charge, noted, reserve, finish = rt.charge, rt.noted, rt.reserve, rt.finish
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

-- Binary formats -------------------------------------------------------------------------------------

local MAX_BYTES = 16 << 20 -- of a resulting string
local MAX_FORMAT = 4096 -- bytes

-- Charges for a format, in which every letter is an item, and refuses very long padding.
local function check_format(name, fmt)
  if type(fmt) ~= "string" then
    return
  elseif #fmt > MAX_FORMAT then
    error("string." .. name .. ": a format may have at most " .. MAX_FORMAT .. " bytes, this one has " .. #fmt, 3)
  end
  charge(#fmt)
  local total = 0
  for digits in text.gmatch(fmt, "%d+") do
    total = total + raw.tonumber(digits)
  end
  if total > MAX_BYTES and name ~= "packsize" then
    error("string." .. name .. ": the fixed sizes in the format may come to at most " .. MAX_BYTES .. " bytes", 3)
  end
  charge(total // 4 // 1 | 0)
end

function str.pack(fmt, ...)
  check_format("pack", fmt)
  return charged_result(pcall(text.pack, fmt, ...))
end

function str.packsize(fmt)
  check_format("packsize", fmt)
  return finish(pcall(text.packsize, fmt))
end

function str.unpack(fmt, ...)
  check_format("unpack", fmt)
  return finish(pcall(text.unpack, fmt, ...))
end

-- Bytes ----------------------------------------------------------------------------------------------

local MAX_RESULTS = 65536 -- of one call: each further call that passes them on copies them

-- Refuses ranges of more than MAX_RESULTS positions of a text.
local function check_range(name, s, i, j)
  local integer = raw.math.tointeger
  local size, first, last = #s, integer(i) or 1, integer(j) or -1
  first, last = first < 0 and first + size + 1 or first, last < 0 and last + size + 1 or last
  first, last = first < 1 and 1 or first, last > size and size or last
  local n = last - first
  if n >= MAX_RESULTS then
    error(name .. ": too many results (at most " .. MAX_RESULTS .. ")", 3)
  elseif n > 100 then
    rt.noted_values(n)
  end
end
rt.check_range = check_range

local bytes = text.byte

function str.byte(s, i, j)
  if j and type(s) == "string" then
    check_range("string.byte", s, i, j)
  elseif type(s) == "string" and (i == nil or math_type(i) == "integer") then
    return bytes(s, i)
  end
  return finish(pcall(bytes, s, i, j))
end

local repeated = text.rep
local BLOCKS = { 1024, 1000, 512, 500, 256, 250, 128, 100, 64, 50, 32, 16, 10, 8, 5, 4, 3, 2 }

-- The same text as fewer, longer pieces, if their number can be divided: Lua takes as long for each piece as for an
-- instruction, however short it is.
local function blocks(s, n, separator)
  if s == "" then
    s, n, separator = separator, n - 1, nil
  end
  if separator == nil and n > 1000 then
    for i = 1, #BLOCKS do
      local count = BLOCKS[i]
      if n % count == 0 then
        return repeated(s, count), n // count
      end
    end
  end
  return s, n, separator
end

function str.rep(...)
  local s, n, separator = ...
  if type(s) == "string" and math_type(n) == "integer" and n > 0 then
    local size = #s + (type(separator) == "string" and #separator or 0)
    if size == 0 then
      return ""
    elseif n > MAX_BYTES // size then
      error("string.rep: the result would be larger than 16 MiB", 2)
    end
    if n > 1000 or size > 1000 then
      local zero = find(s, "\0", 1, true) or type(separator) == "string" and find(separator, "\0", 1, true)
      if zero and n * size > rt.MAX_ZEROS then
        rt.refuse_zeros(n * size)
      end
      local bytes_made = n * size
      reserve(bytes_made)
      if size < 64 and (separator == nil or type(separator) == "string") then
        s, n, separator = blocks(s, n, separator)
      end
      charge(n + bytes_made // 64)
      local ok, result = pcall(repeated, s, n, separator)
      return finish(ok, noted(result))
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

-- Whether all are strings or ordinary numbers, which string.format handles correctly.
local function all_plain(n, value, ...)
  local kind = type(value)
  if kind == "string" and #value <= 1000 or kind == "number" and value == value then
    return n == 1 or all_plain(n - 1, ...)
  end
  return false
end

-- Addresses and the sign of NaN would show: such values are converted to strings first.
local function tamed(fmt, ...)
  local args, at = tables.pack(...), 0
  local function conversion(flags, letter)
    if letter == "%" then
      return nil
    end
    at = at + 1
    local value = args[at]
    if type(value) == "string" then
      charge(letter == "q" and #value * 10 or #value // 4) -- it is read once or twice, then written
    end
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

local formats, n_formats = {}, 0 -- formats that are known to be without %p

function str.format(fmt, ...)
  local n = select("#", ...)
  if type(fmt) == "string" then
    if not formats[fmt] then
      if #fmt > MAX_BYTES // 16 then
        error("string.format: a format may have at most 1 MiB, this one has " .. #fmt .. " bytes", 2)
      end
      charge(#fmt)
      if find(fmt, "%%[-+ #0-9.]*p") and find(gsub(fmt, "%%%%", ""), "%%[-+ #0-9.]*p") then
        error("string.format: %p is not available, addresses differ from run to run; use %s", 2)
      end
      if #fmt <= 1000 then -- longer ones would stay in memory for later programs
        if n_formats >= 200 then
          formats, n_formats = {}, 0
        end
        formats[fmt], n_formats = true, n_formats + 1
      end
    end
    if n > 0 and not all_plain(n, ...) then
      return charged_result(pcall(tamed, fmt, ...))
    end
  end
  return charged_result(pcall(text.format, fmt, ...))
end

return str
