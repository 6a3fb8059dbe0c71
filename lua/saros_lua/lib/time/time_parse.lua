-- Parsing by Go's reference layouts, with Go's leniencies and Go's error texts.
local rt = ...
rt.lasting()
local raw = rt.raw
local find, sub, lower, match = raw.string.find, raw.string.sub, raw.string.lower, raw.string.match
local gsub, format, integer = raw.string.gsub, raw.string.format, raw.math.tointeger
local civil, layouts, shared = rt.library("time_civil"), rt.library("time_layout"), rt.time
local zone_at = shared.zone_at

-- Every reader takes the parser's state (p), the rest of the text and its token. It returns the rest
-- of the text, or nil when the text does not fit; a number out of range leaves its name in p.range.
local READERS = {}

-- One or two digits; exactly two when `fixed`.
local function number(text, fixed)
  local digits = match(text, "^%d%d") or (not fixed and match(text, "^%d") or nil)
  if digits then
    return integer(raw.tonumber(digits)), sub(text, #digits + 1)
  end
end

local function field(name, fixed, lowest, highest)
  return function(p, text)
    local value, rest = number(text, fixed)
    if value and (value < lowest or value > highest) then
      p.range = name
    end
    p[name] = value
    return rest
  end
end

READERS.month, READERS.month2 = field("month", false, 1, 12), field("month", true, 1, 12)
READERS.hour = field("hour", false, 0, 23)
READERS.hour12, READERS.hour12_2 = field("hour", false, 0, 12), field("hour", true, 0, 12)
READERS.minute, READERS.minute2 = field("minute", false, 0, 59), field("minute", true, 0, 59)
-- The end checks whether the month has that day.
READERS.day, READERS.day2 = field("day", false, 0, 99), field("day", true, 0, 99)

function READERS.day_padded(p, text)
  return READERS.day(p, (gsub(text, "^ ", "")))
end

function READERS.year(p, text)
  local digits = match(text, "^%d%d%d%d")
  p.year = digits and integer(raw.tonumber(digits))
  return digits and sub(text, 5)
end

function READERS.year2(p, text)
  local year, rest = number(text, true)
  if year then
    p.year = year >= 69 and 1900 + year or 2000 + year
  end
  return rest
end

local function year_day(p, digits, rest)
  p.yday = digits and integer(raw.tonumber(digits))
  return digits and sub(rest, #digits + 1)
end

function READERS.yday3(p, text)
  return year_day(p, match(text, "^%d%d%d"), text)
end

function READERS.yday_padded(p, text)
  text = gsub(text, "^  ?", "")
  return year_day(p, match(text, "^%d%d?%d?"), text)
end

-- The number of the name that the text begins with, in any case, and the rest.
local function name_of(names, text, length)
  for i = 1, #names do
    local name = length and sub(names[i], 1, length) or names[i]
    if lower(sub(text, 1, #name)) == lower(name) then
      return i, sub(text, #name + 1)
    end
  end
end

function READERS.month_name(p, text)
  local rest
  p.month, rest = name_of(layouts.MONTHS, text)
  return rest
end

function READERS.month_short(p, text)
  local rest
  p.month, rest = name_of(layouts.MONTHS, text, 3)
  return rest
end

-- The name of the day is checked for its spelling only.
function READERS.day_name(_, text)
  local _, rest = name_of(layouts.DAYS, text)
  return rest
end

function READERS.day_short(_, text)
  local _, rest = name_of(layouts.DAYS, text, 3)
  return rest
end

local function half(am, pm)
  return function(p, text)
    local word = sub(text, 1, 2)
    if word == am or word == pm then
      p.half = word == pm and "pm" or "am"
      return sub(text, 3)
    end
  end
end
READERS.PM, READERS.pm = half("AM", "PM"), half("am", "pm")

-- Digits after the point: the first nine count.
local function nanoseconds(digits)
  return integer(raw.tonumber(sub(digits .. "00000000", 1, 9)))
end

local function any_fraction(p, text)
  local digits = match(text, "^[.,](%d+)")
  if not digits then
    return text
  end
  p.ns = nanoseconds(digits)
  return sub(text, #digits + 2)
end

READERS.fraction_trimmed = any_fraction

function READERS.fraction(p, text, token)
  local digits = match(sub(text, 1, token.digits + 1), "^[.,](%d+)$")
  if digits and #digits == token.digits then
    p.ns = nanoseconds(digits)
    return sub(text, token.digits + 2)
  end
end

-- A fraction may follow the seconds even where the layout has none.
local function second(fixed)
  local read = field("second", fixed, 0, 59)
  return function(p, text, _, next_token)
    local rest = read(p, text)
    local kind = next_token and next_token.kind
    if not rest or p.range or kind == "fraction" or kind == "fraction_trimmed" then
      return rest
    end
    return any_fraction(p, rest)
  end
end
READERS.second, READERS.second2 = second(false), second(true)

-- The form of the digits of an offset, by the token without its first character.
local OFFSETS = {
  ["07"] = "^([+-])(%d%d)",
  ["0700"] = "^([+-])(%d%d)(%d%d)",
  ["07:00"] = "^([+-])(%d%d):(%d%d)",
  ["070000"] = "^([+-])(%d%d)(%d%d)(%d%d)",
  ["07:00:00"] = "^([+-])(%d%d):(%d%d):(%d%d)",
}

function READERS.zone(p, text, token)
  if sub(token.text, 1, 1) == "Z" and sub(text, 1, 1) == "Z" then
    p.loc = shared.UTC
    return sub(text, 2)
  end
  local _, last, sign, h, m, s = find(text, OFFSETS[sub(token.text, 2)])
  if not last then
    return nil
  end
  h, m, s = integer(raw.tonumber(h)), integer(raw.tonumber(m or "0")), integer(raw.tonumber(s or "0"))
  if h > 24 then -- some write offsets of 24 hours or 60 minutes
    p.range = "time zone offset hour"
  elseif m > 60 then
    p.range = "time zone offset minute"
  elseif s > 60 then
    p.range = "time zone offset second"
  end
  local offset = (h * 60 + m) * 60 + s
  p.offset = sign == "-" and -offset or offset
  return sub(text, last + 1)
end

-- A signed number of hours, at most 23, as in "GMT-8"; else "".
local function signed_hours(text)
  local signed = match(text, "^[+-]%d+") or ""
  local hours = raw.tonumber(signed) or 0
  return hours >= -23 and hours <= 23 and signed or ""
end

-- The abbreviation of a zone that the text begins with, or nil: three or four capitals, or five, the
-- longer ones with a T at the end, save a few that people really use.
local function abbreviation(text)
  local four = sub(text, 1, 4)
  if four == "ChST" or four == "MeST" or four == "WITA" and not find(text, "^%u", 5) then
    return four
  elseif sub(text, 1, 3) == "GMT" then
    return "GMT" .. signed_hours(sub(text, 4))
  elseif find(text, "^[+-]") then
    local signed = signed_hours(text)
    return signed ~= "" and signed or nil
  end
  local capitals = match(text, "^%u+") or ""
  local n = #capitals
  if n == 3 or (n == 4 or n == 5) and sub(capitals, n) == "T" then
    return capitals
  end
end

function READERS.abbr(p, text)
  if sub(text, 1, 3) == "UTC" then
    p.loc = shared.UTC
    return sub(text, 4)
  end
  p.abbr = abbreviation(text)
  return p.abbr and sub(text, #p.abbr + 1)
end

-- Drops a literal of the layout from the front of the text: what is left, or nil and from where it differs.
-- A run of spaces fits any run.
local function skip(text, literal)
  local at, from = 1, 1
  while from <= #literal do
    if sub(literal, from, from) == " " then
      if at <= #text and sub(text, at, at) ~= " " then
        return nil, sub(text, at)
      end
      from, at = find(literal, "[^ ]", from) or #literal + 1, find(text, "[^ ]", at) or #text + 1
    elseif sub(text, at, at) ~= sub(literal, from, from) then
      return nil, sub(text, at)
    else
      from, at = from + 1, at + 1
    end
  end
  return sub(text, at)
end

local function quote(text)
  if #text > 200 then
    text = sub(text, 1, 200) .. "..."
  end
  local quoted = gsub(text, '[%c"\\]', function(c)
    return c == '"' and '\\"' or c == "\\" and "\\\\" or format("\\x%02x", raw.string.byte(c))
  end)
  return '"' .. rt.shown(quoted) .. '"' -- the other characters that control a terminal
end

-- Reads the text into a table of fields; or nil, why.
local function scan(layout, text)
  local tokens = layouts.tokens_of(layout)
  local p, rest = { year = 0, hour = 0, minute = 0, second = 0, ns = 0 }, text
  local function mismatch(got, wanted)
    local head = "parsing time " .. quote(text) .. " as " .. quote(layout)
    return nil, head .. ": cannot parse " .. quote(got) .. " as " .. quote(wanted)
  end
  for i = 1, #tokens do
    local token = tokens[i]
    local start, differs = skip(rest, token.prefix)
    if not start then
      return mismatch(differs, token.prefix)
    end
    rest = READERS[token.kind](p, start, token, tokens[i + 1])
    if p.range then
      return nil, "parsing time " .. quote(text) .. ": " .. p.range .. " out of range"
    elseif not rest then
      return mismatch(start, token.text)
    end
  end
  local left, differs = skip(rest, tokens.tail)
  if not left then
    return mismatch(differs, tokens.tail)
  elseif left ~= "" then
    return nil, "parsing time " .. quote(text) .. ": extra text: " .. quote(left)
  end
  return p
end

-- Completes month and day, from the day of the year if that was given; or returns why they do not fit.
local function settle_date(p)
  if p.yday then
    if p.yday < 1 or p.yday > (civil.is_leap(p.year) and 366 or 365) then
      return "day-of-year out of range"
    end
    local _, month, day = civil.date_of(civil.days(p.year, 1, 1) + p.yday - 1)
    if p.month and p.month ~= month then
      return "day-of-year does not match month"
    elseif p.day and p.day ~= day then
      return "day-of-year does not match day"
    end
    p.month, p.day = month, day
  end
  p.month, p.day = p.month or 1, p.day or 1
  if p.day < 1 or p.day > civil.days_in(p.year, p.month) then
    return "day out of range"
  end
end

-- The offset of an abbreviation: 0 unless the location knows it or it contains the offset.
local function offset_of(abbr, loc, sec)
  local offset
  if loc.offset then
    offset = abbr == loc.abbr and loc.offset
  else
    offset = rt.library("time_zone").abbreviation(loc, abbr, sec)
  end
  if offset then
    return offset, loc
  end
  offset = sub(abbr, 1, 3) == "GMT" and (integer(raw.tonumber(sub(abbr, 4))) or 0) * 3600 or 0
  return offset, nil
end

local parser = {}

-- Returns seconds, nanoseconds, location; or nil, why. A text without a zone is in `default`; one whose
-- offset or abbreviation `loc` has at that instant is in `loc`; any other gets a location of its own.
function parser.parse(layout, text, default, loc)
  local p, why = scan(layout, text)
  if not p then
    return nil, why
  end
  if p.half == "pm" and p.hour < 12 then
    p.hour = p.hour + 12
  elseif p.half == "am" and p.hour == 12 then
    p.hour = 0
  end
  why = settle_date(p)
  if why then
    return nil, "parsing time " .. quote(text) .. ": " .. why
  end
  local where = p.loc or (p.offset or p.abbr) and shared.UTC or default
  local sec = civil.seconds(p.year, p.month, p.day, p.hour, p.minute, p.second, zone_at, where)
  if p.loc or not (p.offset or p.abbr) then
    return sec, p.ns, where
  elseif p.offset then
    sec = sec - p.offset
    local offset, abbr = zone_at(loc, sec)
    if offset == p.offset and (not p.abbr or p.abbr == abbr) then
      return sec, p.ns, loc
    end
    return sec, p.ns, shared.location({ name = p.abbr or "", abbr = p.abbr or "", offset = p.offset })
  end
  local offset, known = offset_of(p.abbr, loc, sec)
  if known then
    return sec - offset, p.ns, known
  end
  return sec, p.ns, shared.location({ name = p.abbr, abbr = p.abbr, offset = offset })
end

return parser
