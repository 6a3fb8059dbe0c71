-- Locations of the time module: zones by name, through the host's time zone database.
local rt = ...
rt.lasting()
local host = rt.host
local shared = rt.time

local MAX_SPANS = 64 -- of one zone; later programs use them, too

local loaded -- name -> location
local spans = {} -- name -> {span, ...} that were looked up, each {offset, abbr, first, last}

rt.each_program(function()
  loaded = { UTC = shared.UTC, Local = shared.LOCAL }
end)

local zone = {}

-- Gets the span of constant offset around an instant from the host; keeps and returns it, or nil, kind, why.
local function ask(loc, sec)
  local ok, offset, abbr, first, last = host("time_span", loc.name, sec)
  if not ok then
    return nil, offset, abbr
  end
  local span = { offset = offset, abbr = abbr, first = first, last = last }
  local known = spans[loc.name]
  if #known >= MAX_SPANS then
    known = {}
    spans[loc.name] = known
  end
  known[#known + 1] = span
  loc.span = span
  return span
end

-- The span around an instant. The location keeps the last one at hand: neighbouring instants share it.
function zone.span(loc, sec)
  local known = spans[loc.name]
  if not known then
    known = {}
    spans[loc.name] = known
  end
  for i = 1, #known do
    local span = known[i]
    if sec >= span.first and sec < span.last then
      loc.span = span
      return span
    end
  end
  local span, kind, why = ask(loc, sec)
  if not span then
    rt.raw.error(rt.error({ kind = kind, message = why, retryable = false }), 0)
  end
  return span
end

-- The location of that name; or nil, kind, message.
function zone.load(name)
  local loc = loaded[name]
  if loc then
    return loc
  end
  loc = { name = name }
  spans[name] = {}
  local span, kind, why = ask(loc, rt.now() // 1000000000)
  if not span then
    spans[name] = nil
    return nil, kind, why
  end
  loaded[name] = shared.location(loc)
  return loc
end

-- Seconds east of UTC of an abbreviation such as CEST in a location: the meaning in force when its own
-- clock shows `sec` (seconds as if in UTC), else any meaning that the location ever had; or nil.
function zone.abbreviation(loc, abbr, sec)
  if loc.offset then
    return abbr == loc.abbr and loc.offset or nil
  end
  local ok, offset = host("time_abbreviation", loc.name, abbr, sec)
  return ok and offset or nil
end

return zone
