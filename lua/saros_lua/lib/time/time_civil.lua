-- The proleptic Gregorian calendar of the time module, in integers only.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, integer = raw.type, raw.math.tointeger
local format, gsub = raw.string.format, raw.string.gsub

local MAX_FIELD = 100000000000 -- of year, month, day, hour...: nothing below can overflow
local MAX_YEAR = 200000000

local civil = {}

-- Days since 1970-01-01 of a date whose month is 1..12; the day may be any.
-- Years are counted from March, so that the leap day comes last, in eras of 400 years.
function civil.days(y, m, d)
  if m <= 2 then
    y = y - 1
  end
  local era, of_era = y // 400, y % 400
  local of_year = (153 * ((m + 9) % 12) + 2) // 5 + d - 1
  return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
end

-- Year, month, day of a day since 1970-01-01.
function civil.date_of(days)
  days = days + 719468
  local era, of_era = days // 146097, days % 146097
  local year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
  local of_year = of_era - (365 * year + year // 4 - year // 100)
  local month = (5 * of_year + 2) // 153
  local day = of_year - (153 * month + 2) // 5 + 1
  month = month < 10 and month + 3 or month - 9
  year = year + era * 400
  return month <= 2 and year + 1 or year, month, day
end

function civil.is_leap(y)
  return y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0)
end

local LENGTHS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

function civil.days_in(y, m)
  if m == 2 and civil.is_leap(y) then
    return 29
  end
  return LENGTHS[m]
end

-- Checks that arguments are whole numbers: true, or false and why not.
function civil.check(what, names, values)
  for i = 1, #names do
    local value = values[i]
    local number = type(value) == "number"
    if not (number and integer(value)) then
      local got = number and value or "a " .. rt.env.type(value)
      return false, format("%s expects a whole number as its %s, not %s", what, names[i], got)
    end
  end
  return true
end

local function too_big(x)
  return x > MAX_FIELD or x < -MAX_FIELD
end

-- Seconds since 1970 of a date and clock in a location, both normalised like Go's time.Date; or nil, why.
-- A local time that a change of the clocks skips or repeats gets the offset on one side of the change:
-- the one that holds at the instant found with the offset that the fields would have as UTC.
function civil.seconds(y, mo, d, h, mi, s, zone_at, loc)
  if too_big(y) or too_big(mo) or too_big(d) or too_big(h) or too_big(mi) or too_big(s) then
    return nil, "a number is out of range"
  end
  mo = mo - 1
  y = y + mo // 12
  if y > MAX_YEAR or y < -MAX_YEAR then
    return nil, "the year " .. y .. " is out of range"
  end
  local sec = (civil.days(y, mo % 12 + 1, 1) + d - 1) * 86400 + h * 3600 + mi * 60 + s
  local offset = zone_at(loc, sec)
  if offset ~= 0 then
    offset = zone_at(loc, sec - offset)
  end
  return sec - offset
end

local function clock(offset)
  local sign = "+"
  if offset < 0 then
    sign, offset = "-", -offset
  end
  return format("%s%02d:%02d", sign, offset // 3600, offset // 60 % 60)
end

function civil.rfc3339(sec, ns, offset)
  local at = sec + offset
  local second = at % 86400
  local y, mo, d = civil.date_of(at // 86400)
  local text = format(
    y < 0 and "%05d-%02d-%02dT%02d:%02d:%02d" or "%04d-%02d-%02dT%02d:%02d:%02d",
    y, mo, d, second // 3600, second // 60 % 60, second % 60
  )
  if ns ~= 0 then
    text = text .. "." .. gsub(format("%09d", ns), "0+$", "")
  end
  return text .. (offset == 0 and "Z" or clock(offset))
end

local ult = raw.math.ult

-- (a + b) mod d for 0 <= a, b < d; the sum may need the 64th bit.
local function add_mod(a, b, d)
  local sum = a + b
  return ult(sum, d) and sum or sum - d
end

-- (sec * 10^9 + ns) mod d without ever holding the product, which needs more than 64 bits.
function civil.remainder(sec, ns, d)
  local base, factor, product = sec % d, 1000000000, 0
  while factor > 0 do
    if factor & 1 == 1 then
      product = add_mod(product, base, d)
    end
    base = add_mod(base, base, d)
    factor = factor >> 1
  end
  return add_mod(product, ns % d, d)
end

return civil
