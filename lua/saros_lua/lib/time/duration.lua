-- Durations: whole nanoseconds, written and read as in Go ("1h30m", "1.5s").
local rt = ...
rt.lasting()
local raw = rt.raw
local type, math_type = raw.type, raw.math.type
local floor, tointeger, MAX, MIN = raw.math.floor, raw.math.tointeger, raw.math.maxinteger, raw.math.mininteger
local byte, find, format, gsub, match, sub =
  raw.string.byte, raw.string.find, raw.string.format, raw.string.gsub, raw.string.match, raw.string.sub

local MICROSECOND, MILLISECOND, SECOND = 1000, 1000000, 1000000000
local MINUTE, HOUR = 60 * SECOND, 3600 * SECOND

local LONGEST = 1000 -- bytes of a text

local UNITS = {
  ns = 1,
  us = MICROSECOND,
  ["\u{B5}s"] = MICROSECOND, -- micro sign
  ["\u{3BC}s"] = MICROSECOND, -- Greek letter mu
  ms = MILLISECOND,
  s = SECOND,
  m = MINUTE,
  h = HOUR,
}

-- Reading ------------------------------------------------------------------------------------------

-- The fraction of a unit that the digits after the point stand for, cut to nanoseconds. Digits that a
-- 64-bit number cannot hold have no weight.
local function fraction(digits, unit)
  local value, scale = 0, 1.0
  for i = 1, #digits do
    local next_value = value * 10 + byte(digits, i) - 48
    if value > MAX // 10 or value < 0 or (next_value < 0 and next_value ~= MIN) then
      break
    end
    value, scale = next_value, scale * 10
  end
  local float = value < 0 and 0x1p63 or value + 0.0
  return tointeger(float * (unit / scale) // 1)
end

-- Every number that Go allows fits below zero, so sums are kept negative: -2^63 is a duration, 2^63 is not.
local function negated(digits)
  local value = 0
  for i = 1, #digits do
    local digit = byte(digits, i) - 48
    if value < (MIN + digit) // 10 + ((MIN + digit) % 10 == 0 and 0 or 1) then
      return nil
    end
    value = value * 10 - digit
  end
  return value
end

-- Nanoseconds of a Go-style text; or nil and the reason.
local function parse(text)
  local sign, pos = match(text, "^([-+]?)()")
  if sub(text, pos) == "0" then
    return 0
  elseif text == "" then
    return nil, "it is empty"
  elseif pos > #text then
    return nil, "the number is missing"
  end
  local total = 0
  while pos <= #text do
    local whole, point, digits, after = match(text, "^(%d*)(%.?)(%d*)()", pos)
    if whole == "" and digits == "" then
      return nil, "a number must come before " .. '"' .. rt.shown(sub(text, pos, pos + 40)) .. '"'
    end
    local name
    name, pos = match(text, "^([^.%d]*)()", after)
    if name == "" then
      return nil, "a unit is missing, such as s or ms"
    end
    local unit = UNITS[name]
    if not unit then
      return nil, "unknown unit " .. sub(name, 1, 40)
    end
    local value = negated(whole)
    if not value or (unit > 1 and value < -(MAX // unit)) then
      return nil, "it is out of range"
    end
    value = value * unit
    local part = point ~= "" and fraction(digits, unit) or 0
    if value < MIN + part or total < MIN - (value - part) then
      return nil, "it is out of range"
    end
    total = total + (value - part)
  end
  if sign == "-" then
    return total
  elseif total == MIN then
    return nil, "it is out of range"
  end
  return -total
end

-- The nearest whole number, halves away from zero; nil when that is not a 64-bit integer.
local function round(value)
  local below = floor(value)
  if math_type(below) ~= "integer" then
    return nil
  end
  local rest = value - below
  if rest > 0.5 or (rest == 0.5 and value > 0) then
    return below + 1
  end
  return below
end

local function scaled(value, unit)
  if math_type(value) == "integer" then
    if unit > 1 and (value > MAX // unit or value < -(MAX // unit)) then
      return nil, value .. " is not a duration: it is out of range"
    end
    return value * unit
  elseif value ~= value then
    return nil, "NaN is not a duration"
  end
  local ns = round(value * unit)
  if not ns then
    return nil, value .. " is not a duration: it is out of range"
  end
  return ns
end

local new, get

-- Nanoseconds of a Go-style text, a Duration, or a number of `unit` nanoseconds; or nil and the reason.
local function parse_ns(x, unit)
  local kind = type(x)
  if kind == "number" then
    return scaled(x, unit or 1)
  elseif kind == "string" then
    local ns, reason
    if #x > LONGEST then
      reason = "it has more than " .. LONGEST .. " bytes"
    else
      ns, reason = parse(x)
    end
    if not ns then
      local shown = rt.shown(#x > 40 and sub(x, 1, 40) .. "..." or x)
      return nil, '"' .. shown .. '" is not a duration: ' .. reason
    end
    return ns
  end
  local state = get(x)
  if state then
    return state.ns
  elseif x == nil then
    return nil, "nil is not a duration"
  end
  return nil, "a " .. rt.env.type(x) .. " is not a duration"
end

-- Writing ------------------------------------------------------------------------------------------

-- A number of nanoseconds, not below zero, in a unit, without zeros at the end.
local function decimal(ns, unit, places)
  local text = format("%d.%0" .. places .. "d", ns // unit, ns % unit)
  return (gsub(gsub(text, "0+$", ""), "%.$", ""))
end

-- As Go writes it: "1h30m0s", "1.5ms", "0s".
local function text_of(ns)
  if ns == 0 then
    return "0s"
  elseif ns == MIN then
    return "-2562047h47m16.854775808s"
  end
  local sign = ns < 0 and "-" or ""
  ns = ns < 0 and -ns or ns
  if ns < MICROSECOND then
    return sign .. ns .. "ns"
  elseif ns < MILLISECOND then
    return sign .. decimal(ns, MICROSECOND, 3) .. "\u{B5}s"
  elseif ns < SECOND then
    return sign .. decimal(ns, MILLISECOND, 6) .. "ms"
  end
  local hours, minutes = ns // HOUR, ns // MINUTE % 60
  local text = sign .. (hours > 0 and hours .. "h" or "")
  if ns >= MINUTE then
    text = text .. minutes .. "m"
  end
  return text .. decimal(ns % MINUTE, SECOND, 9) .. "s"
end

-- The class ----------------------------------------------------------------------------------------

local function ns_of(self, method)
  local state = get(self)
  if not state then
    raw.error("expected a duration; call it as duration:" .. method .. "()", 3)
  end
  return state.ns
end

-- Both cut towards zero, as in Go.
local function whole(ns, unit)
  return (ns < 0 and ns % unit ~= 0) and ns // unit + 1 or ns // unit
end

local function float(ns, unit)
  local units = whole(ns, unit)
  return units + (ns - units * unit) / unit
end

local methods = {}
for name, unit in raw.next, { hours = HOUR, minutes = MINUTE, seconds = SECOND } do
  methods[name] = function(self)
    return float(ns_of(self, name), unit)
  end
end
for name, unit in raw.next, { milliseconds = MILLISECOND, microseconds = MICROSECOND, nanoseconds = 1 } do
  methods[name] = function(self)
    return whole(ns_of(self, name), unit)
  end
end

local function operands(a, b, what)
  local left, right = get(a), get(b)
  if not left or not right then
    local other = left and b or a
    raw.error("a duration can only be " .. what .. " a duration, not a " .. rt.env.type(other), 3)
  end
  return left.ns, right.ns
end

local function made(ns)
  return new({ ns = ns })
end

local function in_range(ok, ns)
  if not ok then
    raw.error("the duration is out of range", 3)
  end
  return made(ns)
end

new, get = rt.class("duration", methods, {
  __tostring = function(self)
    return text_of(get(self).ns)
  end,
  __eq = function(a, b)
    local left, right = get(a), get(b)
    return left ~= nil and right ~= nil and left.ns == right.ns
  end,
  __lt = function(a, b)
    local left, right = operands(a, b, "compared with")
    return left < right
  end,
  __le = function(a, b)
    local left, right = operands(a, b, "compared with")
    return left <= right
  end,
  __add = function(a, b)
    local x, y = operands(a, b, "added to")
    local sum = in_range((x ~ y) < 0 or (x ~ (x + y)) >= 0, x + y)
    return sum
  end,
  __sub = function(a, b)
    local x, y = operands(a, b, "subtracted from")
    local difference = in_range((x ~ y) >= 0 or (x ~ (x - y)) >= 0, x - y)
    return difference
  end,
  __mul = function(a, b)
    local state, factor = get(a), b
    if not state then
      state, factor = get(b), a
    end
    if type(factor) ~= "number" then
      raw.error("a duration can only be multiplied by a number, not a " .. rt.env.type(factor), 2)
    end
    local ns, float = state.ns, (state.ns + 0.0) * factor
    local exact = math_type(factor) == "integer" and ns * factor
    local fits = float < 0x1p63 and float >= -0x1p63 and (not exact or exact == 0 or (exact < 0) == (float < 0))
    local product = in_range(fits, exact or (float == float and round(float)))
    return product
  end,
  __unm = function(self)
    local ns = get(self).ns
    local negative = in_range(ns ~= MIN, -ns)
    return negative
  end,
})

rt.duration = {
  new = made,
  get = function(x)
    local state = get(x)
    return state and state.ns
  end,
  parse_ns = parse_ns,
  tostring = text_of,
}
