-- Time objects: {sec, ns, loc} is whole seconds since 1970, nanoseconds 0..999999999, and the location
-- that the time is shown in. year, month and day are kept once computed.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, error, integer = raw.type, raw.error, raw.math.tointeger
local library, fail, env_type = rt.library, rt.fail, rt.env.type
local duration, shared = rt.duration, rt.time
local parse_ns, zone_at, get_location = duration.parse_ns, shared.zone_at, shared.get_location
local UTC, LOCAL = shared.UTC, shared.LOCAL

local SECOND = 1000000000
local ZERO = -62135596800 -- the zero time is midnight of January 1 of the year 1
local MIN_NS, MAX_NS = raw.math.mininteger, raw.math.maxinteger

local new, get

local function make(sec, ns, loc)
  return new({ sec = sec, ns = ns, loc = loc })
end

local function of(self, method)
  local t = get(self)
  if not t then
    error("expected a time; call it as t:" .. method .. "()", 3)
  end
  return t
end

-- The other operand of a comparison.
local function other(value, method)
  local t = get(value)
  if not t then
    error("t:" .. method .. "() expects a time, not a " .. env_type(value), 3)
  end
  return t
end

local function no_duration(method, why)
  return fail("Invalid", method .. ": " .. why)
end

local function add_ns(t, ns)
  local sec, n = t.sec + ns // SECOND, t.ns + ns % SECOND
  if n >= SECOND then
    sec, n = sec + 1, n - SECOND
  end
  return make(sec, n, t.loc)
end

-- t - u in nanoseconds; like Go's, it stops at the ends of 64 bits (292 years).
local function difference(t, u)
  local ns = (t.sec - u.sec) * SECOND + (t.ns - u.ns)
  local n = u.ns + ns % SECOND
  if u.sec + ns // SECOND + n // SECOND == t.sec and n % SECOND == t.ns then
    return ns
  end
  return t.sec < u.sec and MIN_NS or MAX_NS
end

-- Days since 1970 and second of the day, in the time's location.
local function day_of(t)
  local at = t.sec + zone_at(t.loc, t.sec)
  return at // 86400, at % 86400
end

local function date_of(t)
  if not t.year then
    t.year, t.month, t.day = library("time_civil").date_of((day_of(t)))
  end
  return t.year, t.month, t.day
end

local function clock_of(t)
  local _, second = day_of(t)
  return second // 3600, second // 60 % 60, second % 60
end

local function text_of(t, nano)
  return library("time_civil").rfc3339(t.sec, nano and t.ns or 0, (zone_at(t.loc, t.sec)))
end

local function before(t, u)
  return t.sec < u.sec or t.sec == u.sec and t.ns < u.ns
end

local function multiple(self, d, method)
  local t = of(self, method)
  local ns, why = parse_ns(d)
  if not ns then
    return no_duration(method, why)
  elseif ns <= 0 then
    return self
  end
  local over = library("time_civil").remainder(t.sec - ZERO, t.ns, ns)
  if method == "round" and over >= ns - over then
    return add_ns(t, ns - over)
  end
  return add_ns(t, -over)
end

local methods = {
  add = function(self, d)
    local t = of(self, "add")
    local ns, why = parse_ns(d)
    if not ns then
      return no_duration("add", why)
    end
    return add_ns(t, ns)
  end,
  sub = function(self, u)
    local t = of(self, "sub")
    local earlier = get(u)
    if not earlier then
      return fail("Invalid", "sub expects a time, not a " .. env_type(u) .. "; to go back, add a negative duration")
    end
    return duration.new(difference(t, earlier))
  end,
  add_date = function(self, years, months, days)
    local t = of(self, "add_date")
    years, months, days = years or 0, months or 0, days or 0
    local civil = library("time_civil")
    local ok, why = civil.check("add_date", { "years", "months", "days" }, { years, months, days })
    if not ok then
      return fail("Invalid", why)
    end
    local y, mo, d = date_of(t)
    local h, mi, s = clock_of(t)
    local sec
    sec, why = civil.seconds(y + integer(years), mo + integer(months), d + integer(days), h, mi, s, zone_at, t.loc)
    if not sec then
      return fail("Invalid", "add_date: " .. why)
    end
    return make(sec, t.ns, t.loc)
  end,
  before = function(self, u)
    return before(of(self, "before"), other(u, "before"))
  end,
  after = function(self, u)
    return before(other(u, "after"), of(self, "after"))
  end,
  equal = function(self, u)
    local t, v = of(self, "equal"), other(u, "equal")
    return t.sec == v.sec and t.ns == v.ns
  end,
  format = function(self, layout)
    local t = of(self, "format")
    if type(layout) ~= "string" then
      return fail("Invalid", "format expects a layout such as time.RFC3339, not a " .. env_type(layout))
    elseif #layout > rt.MAX_LAYOUT then
      return fail("Invalid", "a layout has at most " .. rt.MAX_LAYOUT .. " bytes, and this one " .. #layout)
    end
    local y, mo, d = date_of(t)
    local h, mi, s = clock_of(t)
    return library("time_layout").format(layout, y, mo, d, h, mi, s, t.ns, zone_at(t.loc, t.sec))
  end,
  format_rfc3339 = function(self)
    return text_of(of(self, "format_rfc3339"))
  end,
  unix = function(self)
    return of(self, "unix").sec
  end,
  unix_nano = function(self)
    local t = of(self, "unix_nano")
    return t.sec * SECOND + t.ns
  end,
  date = function(self)
    return date_of(of(self, "date"))
  end,
  clock = function(self)
    return clock_of(of(self, "clock"))
  end,
  year = function(self)
    return (date_of(of(self, "year")))
  end,
  month = function(self)
    local _, month = date_of(of(self, "month"))
    return month
  end,
  day = function(self)
    local _, _, day = date_of(of(self, "day"))
    return day
  end,
  hour = function(self)
    return (clock_of(of(self, "hour")))
  end,
  minute = function(self)
    local _, minute = clock_of(of(self, "minute"))
    return minute
  end,
  second = function(self)
    local _, _, second = clock_of(of(self, "second"))
    return second
  end,
  nanosecond = function(self)
    return of(self, "nanosecond").ns
  end,
  weekday = function(self)
    return ((day_of(of(self, "weekday"))) + 4) % 7 -- January 1, 1970 was a Thursday
  end,
  year_day = function(self)
    local t = of(self, "year_day")
    return day_of(t) - library("time_civil").days((date_of(t)), 1, 1) + 1
  end,
  is_zero = function(self)
    local t = of(self, "is_zero")
    return t.sec == ZERO and t.ns == 0
  end,
  utc = function(self)
    local t = of(self, "utc")
    return make(t.sec, t.ns, UTC)
  end,
  in_local = function(self)
    local t = of(self, "in_local")
    return make(t.sec, t.ns, LOCAL)
  end,
  in_location = function(self, loc)
    local t, state = of(self, "in_location"), get_location(loc)
    if not state then
      return fail("Invalid", "in_location expects a location (time.load_location returns one), not a " .. env_type(loc))
    end
    return make(t.sec, t.ns, state)
  end,
  location = function(self)
    return of(self, "location").loc.object
  end,
  round = function(self, d)
    return multiple(self, d, "round")
  end,
  truncate = function(self, d)
    return multiple(self, d, "truncate")
  end,
}

local function operand(value, operator)
  local t = get(value)
  if not t then
    error("attempt to " .. operator .. " a time and a " .. env_type(value), 3)
  end
  return t
end

local function shifted(t, d, sign, operator)
  local ns, why = parse_ns(d)
  if not ns then
    error("attempt to " .. operator .. " a time and a " .. env_type(d) .. ": " .. why, 3)
  end
  return add_ns(t, sign * ns)
end

new, get = rt.class("time", methods, {
  __tostring = function(self)
    return text_of(get(self), true)
  end,
  __eq = function(a, b)
    local t, u = get(a), get(b)
    return t ~= nil and u ~= nil and t.sec == u.sec and t.ns == u.ns
  end,
  __lt = function(a, b)
    return before(operand(a, "compare"), operand(b, "compare"))
  end,
  __le = function(a, b)
    return not before(operand(b, "compare"), operand(a, "compare"))
  end,
  __add = function(a, b)
    local t = get(a)
    if t then
      return (shifted(t, b, 1, "add")) -- no tail call: the error level counts frames
    end
    return (shifted(get(b), a, 1, "add"))
  end,
  __sub = function(a, b)
    local t, u = operand(a, "subtract"), get(b)
    if u then
      return duration.new(difference(t, u))
    end
    return (shifted(t, b, -1, "subtract"))
  end,
})


if rt.wire then
  rt.wire.time = function(state, object)
    return text_of(get(object) or state, true)
  end
end

return { make = make }
