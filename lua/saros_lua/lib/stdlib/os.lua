-- `os` for user code: time, date, clock, difftime, from the clock of the execution. All dates are UTC.
local rt = ...
rt.lasting()
local raw, env = rt.raw, rt.env
local type, error, next, tonumber = raw.type, raw.error, raw.next, raw.tonumber
local tointeger = raw.math.tointeger

local os = {}

-- Days since 1970-01-01 of a date in the Gregorian calendar; month and day may be out of range.
local function days(year, month, day)
  year = year + (month - 1) // 12
  month = (month - 1) % 12 + 1
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
end

local function field(t, name, default)
  local value = t[name]
  local integer = tointeger(raw.tonumber(value))
  if integer and integer > -2147483648 and integer < 2147483648 then
    return integer
  elseif value == nil and default then
    return default
  elseif value == nil then
    error("field '" .. name .. "' missing in date table", 0)
  end
  error("field '" .. name .. "' is not an integer within bounds", 0)
end

local function date_fields(seconds)
  return raw.os.date("!*t", seconds)
end

local function from_table(t)
  local day = days(field(t, "year"), field(t, "month"), field(t, "day"))
  local seconds = day * 86400 + field(t, "hour", 12) * 3600 + field(t, "min", 0) * 60 + field(t, "sec", 0)
  for name, value in next, date_fields(seconds) do -- Lua fills in normalised fields, too
    t[name] = value
  end
  return seconds
end

function os.time(t)
  if t == nil then
    return rt.now() // 1000000000
  elseif env.type(t) ~= "table" then
    error("bad argument #1 to 'time' (table expected, got " .. env.type(t) .. ")", 2)
  end
  return rt.finish(raw.pcall(from_table, t))
end

-- Dates are UTC with and without "!".
function os.date(format, time)
  if format == nil then
    format = "%c"
  elseif type(format) ~= "string" or #format > 4096 then
    error("bad argument #1 to 'date' (a format of up to 4096 bytes expected)", 2)
  end
  if time == nil then
    time = rt.now() // 1000000000
  end
  if raw.string.sub(format, 1, 1) ~= "!" then
    format = "!" .. format
  end
  rt.charge(#format * 30)
  return rt.finish(raw.pcall(raw.os.date, format, time))
end

function os.difftime(a, b)
  local at = tonumber(a) == nil and 1 or b ~= nil and tonumber(b) == nil and 2
  if at then
    local got = env.type(at == 1 and a or b)
    error("bad argument #" .. at .. " to 'difftime' (number expected, got " .. got .. ")", 2)
  end
  return (a - (b or 0)) + 0.0
end

if rt.workflow then
  function os.clock()
    return rt.now() / 1e9
  end
else
  os.clock = raw.os.clock
end

local instead = {
  execute = rt.ACTIVITY,
  remove = rt.ACTIVITY,
  rename = rt.ACTIVITY,
  tmpname = rt.ACTIVITY,
  getenv = "use require('env').get(name), in a function",
  exit = "return from the entry's function, or raise an error",
  setlocale = "the locale is always C",
}

return raw.setmetatable(os, {
  __index = function(_, name)
    local hint = instead[name]
    if hint then
      error("os." .. name .. " is not available: " .. hint, 2)
    end
  end,
  __metatable = false,
})
