-- The time module (lua-surface §9): constants, locations, and functions that make times and timers.
--
-- Parts that many programs never use load on first use: time_object (the Time class),
-- time_civil (the calendar), time_layout and time_parse, time_zone (zones by name), time_timer.
local rt = ...
rt.lasting()
rt.MAX_LAYOUT = 1000 -- bytes
local MAX_TEXT = 10000 -- bytes of a time; blanks and digits can make it longer than its layout
local raw = rt.raw
local type, error, integer = raw.type, raw.error, raw.math.tointeger
local library, fail, env_type = rt.library, rt.fail, rt.env.type
library("duration")
local duration = rt.duration
local parse_ns = duration.parse_ns

local SECOND = 1000000000
local MAX_SECONDS = 10000000000000000 -- of time.unix; far from any overflow

local time = {
  NANOSECOND = 1,
  MICROSECOND = 1000,
  MILLISECOND = 1000000,
  SECOND = SECOND,
  MINUTE = 60 * SECOND,
  HOUR = 3600 * SECOND,

  RFC3339 = "2006-01-02T15:04:05Z07:00",
  RFC3339NANO = "2006-01-02T15:04:05.999999999Z07:00",
  RFC822 = "02 Jan 06 15:04 MST",
  RFC822Z = "02 Jan 06 15:04 -0700",
  RFC850 = "Monday, 02-Jan-06 15:04:05 MST",
  RFC1123 = "Mon, 02 Jan 2006 15:04:05 MST",
  RFC1123Z = "Mon, 02 Jan 2006 15:04:05 -0700",
  DATE_TIME = "2006-01-02 15:04:05",
  DATE_ONLY = "2006-01-02",
  TIME_ONLY = "15:04:05",
  KITCHEN = "3:04PM",
  STAMP = "Jan _2 15:04:05",
  STAMP_MILLI = "Jan _2 15:04:05.000",
  STAMP_MICRO = "Jan _2 15:04:05.000000",
  STAMP_NANO = "Jan _2 15:04:05.000000000",

  JANUARY = 1,
  FEBRUARY = 2,
  MARCH = 3,
  APRIL = 4,
  MAY = 5,
  JUNE = 6,
  JULY = 7,
  AUGUST = 8,
  SEPTEMBER = 9,
  OCTOBER = 10,
  NOVEMBER = 11,
  DECEMBER = 12,

  SUNDAY = 0,
  MONDAY = 1,
  TUESDAY = 2,
  WEDNESDAY = 3,
  THURSDAY = 4,
  FRIDAY = 5,
  SATURDAY = 6,
}

-- Locations ------------------------------------------------------------------------------------------
-- A location is {name, offset, abbr} when its offset never changes, else {name} plus the span
-- {offset, abbr, first, last} of constant offset that was looked up last. `object` is the value that users see.

local new_location, get_location

local function location_name(self)
  local loc = get_location(self)
  if not loc then
    error("expected a location; call it as location:string()", 2)
  end
  return loc.name
end

new_location, get_location = rt.class("location", { string = location_name }, { __tostring = location_name })

local function location(loc, ordinal)
  loc.object = new_location(loc, ordinal)
  return loc
end

local UTC = location({ name = "UTC", abbr = "UTC", offset = 0 }, -2)
-- Workers run in different places, so the local zone of workflow code is UTC.
local LOCAL = rt.workflow and UTC or location({ name = "Local" }, -1)
time.utc, time.localtz = UTC.object, LOCAL.object

-- Seconds east of UTC and the abbreviation at an instant.
local function zone_at(loc, sec)
  local offset = loc.offset
  if offset then
    return offset, loc.abbr
  end
  local span = loc.span
  if not span or sec < span.first or sec >= span.last then
    span = library("time_zone").span(loc, sec)
  end
  return span.offset, span.abbr
end

-- Functions ------------------------------------------------------------------------------------------

local make_time -- loaded with the first time that is made

local function make(sec, ns, loc)
  make_time = make_time or library("time_object").make
  return make_time(sec, ns, loc)
end

function time.now()
  local ns = rt.now()
  return make(ns // SECOND, ns % SECOND, LOCAL)
end

rt.time = { -- for the parts
  now = time.now,
  get_location = get_location,
  location = location,
  zone_at = zone_at,
  UTC = UTC,
  LOCAL = LOCAL,
}

function time.unix(sec, nsec)
  local civil = library("time_civil")
  local ok, why = civil.check("time.unix", { "sec", "nsec" }, { sec, nsec or 0 })
  if not ok then
    return fail("Invalid", why)
  end
  sec, nsec = integer(sec), integer(nsec or 0)
  if sec > MAX_SECONDS or sec < -MAX_SECONDS then
    return fail("Invalid", "time.unix: " .. sec .. " seconds are out of range; nanoseconds go second: time.unix(0, ns)")
  end
  return make(sec + nsec // SECOND, nsec % SECOND, LOCAL)
end

-- The location of an optional argument.
local function chosen(loc, default, method)
  if loc == nil then
    return default
  end
  local state = get_location(loc)
  if not state then
    return fail("Invalid", method .. " expects a location (time.load_location returns one), not a " .. env_type(loc))
  end
  return state
end

function time.date(y, mo, d, h, mi, s, ns, loc)
  local where, err = chosen(loc, LOCAL, "time.date")
  if not where then
    return nil, err
  end
  h, mi, s, ns = h or 0, mi or 0, s or 0, ns or 0
  local civil = library("time_civil")
  local names = { "year", "month", "day", "hour", "minute", "second", "nanosecond" }
  local ok, why = civil.check("time.date", names, { y, mo, d, h, mi, s, ns })
  if not ok then
    return fail("Invalid", why)
  end
  ns = integer(ns)
  local sec
  s = integer(s) + ns // SECOND
  sec, why = civil.seconds(integer(y), integer(mo), integer(d), integer(h), integer(mi), s, zone_at, where)
  if not sec then
    return fail("Invalid", "time.date: " .. why)
  end
  return make(sec, ns % SECOND, where)
end

function time.parse(layout, text, loc)
  if type(layout) ~= "string" or type(text) ~= "string" then
    local got = env_type(layout) .. " and a " .. env_type(text)
    return fail("Invalid", "time.parse expects a layout and a string, not a " .. got)
  elseif #layout > rt.MAX_LAYOUT then
    return fail("Invalid", "a layout has at most " .. rt.MAX_LAYOUT .. " bytes, and this one " .. #layout)
  elseif #text > MAX_TEXT then
    return fail("Invalid", "the text of a time has at most " .. MAX_TEXT .. " bytes, and this one " .. #text)
  end
  local where, err = chosen(loc, UTC, "time.parse")
  if not where then
    return nil, err
  end
  local sec, ns, found = library("time_parse").parse(layout, text, where, loc == nil and LOCAL or where)
  if not sec then
    return fail("Invalid", ns)
  end
  return make(sec, ns, found)
end

function time.parse_duration(x)
  local ns, why = parse_ns(x)
  if not ns then
    return fail("Invalid", why)
  end
  return duration.new(ns)
end

function time.load_location(name)
  if type(name) ~= "string" or name == "" then
    local got = name == "" and "an empty text" or "a " .. env_type(name)
    return fail("Invalid", "time.load_location expects a name such as Europe/Berlin, not " .. got)
  end
  local loc, kind, why = library("time_zone").load(name)
  if not loc then
    return fail(kind, why)
  end
  return loc.object
end

function time.fixed_zone(name, offset)
  if type(name) ~= "string" then
    return fail("Invalid", "time.fixed_zone expects a name as its first argument, not a " .. env_type(name))
  end
  local seconds = type(offset) == "number" and integer(offset)
  if not seconds or seconds <= -86400 * 2 or seconds >= 86400 * 2 then
    return fail("Invalid", "time.fixed_zone expects the seconds east of UTC (fewer than 172800) as its second argument")
  end
  return location({ name = name, abbr = name, offset = seconds }).object
end

function time.sleep(d)
  local ns, why = parse_ns(d)
  if not ns then
    return fail("Invalid", "time.sleep: " .. why)
  end
  return rt.sleep(ns)
end

function time.after(d)
  return library("time_timer").after(d)
end

function time.timer(d)
  return library("time_timer").timer(d)
end

function time.ticker(d)
  return library("time_timer").ticker(d)
end

return time
