-- Go's reference layouts of the time module: format, and the tokens that time_parse shares.
--
-- A layout shows how the reference time Mon Jan 2 15:04:05 MST 2006 is written.
local rt = ...
rt.lasting()
local raw = rt.raw
local find, sub, format, gsub = raw.string.find, raw.string.sub, raw.string.format, raw.string.gsub
local concat, match = raw.table.concat, raw.string.match

local MONTHS = {
  "January", "February", "March", "April", "May", "June",
  "July", "August", "September", "October", "November", "December",
}
local DAYS = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" }

-- What may start with a character: spelling, token; the first that fits counts. With a third item the
-- spelling must not go on in lower case ("Jan" is not a month in "Janet").
local SPELLINGS = {
  J = { { "January", "month_name" }, { "Jan", "month_short", true } },
  M = { { "Monday", "day_name" }, { "Mon", "day_short", true }, { "MST", "abbr" } },
  ["0"] = {
    { "01", "month2" }, { "02", "day2" }, { "03", "hour12_2" }, { "04", "minute2" }, { "05", "second2" },
    { "06", "year2" }, { "002", "yday3" },
  },
  ["1"] = { { "15", "hour" }, { "1", "month" } },
  ["2"] = { { "2006", "year" }, { "2", "day" } },
  ["_"] = { { "_2", "day_padded" }, { "__2", "yday_padded" } },
  ["3"] = { { "3", "hour12" } },
  ["4"] = { { "4", "minute" } },
  ["5"] = { { "5", "second" } },
  P = { { "PM", "PM" } },
  p = { { "pm", "pm" } },
  ["-"] = {
    { "-070000", "zone" }, { "-07:00:00", "zone" }, { "-0700", "zone" }, { "-07:00", "zone" }, { "-07", "zone" },
  },
  Z = {
    { "Z070000", "zone" }, { "Z07:00:00", "zone" }, { "Z0700", "zone" }, { "Z07:00", "zone" }, { "Z07", "zone" },
  },
}

-- The token of a fraction such as .000 or ,999 at position i; no digit may follow it.
local function fraction(layout, i)
  local digits = match(layout, "^0+", i + 1) or match(layout, "^9+", i + 1)
  if digits and not find(layout, "^%d", i + 1 + #digits) then
    local kind = sub(digits, 1, 1) == "0" and "fraction" or "fraction_trimmed"
    return { kind = kind, text = sub(layout, i, i + #digits), digits = #digits, point = sub(layout, i, i) }
  end
end

local function token_at(layout, i)
  local first = sub(layout, i, i)
  if first == "." or first == "," then
    return fraction(layout, i)
  elseif first == "_" and sub(layout, i, i + 4) == "_2006" then
    return nil -- a plain _ before the year
  end
  local spellings = SPELLINGS[first]
  for n = 1, #spellings do
    local spelling = spellings[n]
    local text = spelling[1]
    local last = i + #text - 1
    if sub(layout, i, last) == text and not (spelling[3] and find(layout, "^%l", last + 1)) then
      return { kind = spelling[2], text = text }
    end
  end
end

-- The tokens of a layout, each with the literal text before it as `prefix`; `tail` is the text after all.
local function compile(layout)
  local tokens, from, at = {}, 1, 1
  while true do
    local i = find(layout, "[JM0-5_PpZ%-.,]", at)
    if not i then
      tokens.tail = sub(layout, from)
      return tokens
    end
    local token = token_at(layout, i)
    if token then
      token.prefix = sub(layout, from, i - 1)
      tokens[#tokens + 1] = token
      from = i + #token.text
      at = from
    else
      at = i + 1
    end
  end
end

local compiled, count = {}, 0

local function tokens_of(layout)
  local tokens = compiled[layout]
  if not tokens then
    tokens = compile(layout)
    if count >= 64 then -- layouts are few, unless a program builds them
      compiled, count = {}, 0
    end
    compiled[layout], count = tokens, count + 1
  end
  return tokens
end

local function number(field, digits)
  local pattern = "%0" .. digits .. "d"
  return function(t)
    return format(pattern, t[field])
  end
end

local function year_day(t)
  local civil = rt.library("time_civil")
  return civil.days(t.year, t.month, t.day) - civil.days(t.year, 1, 1) + 1
end

local function weekday(t)
  return DAYS[(rt.library("time_civil").days(t.year, t.month, t.day) + 4) % 7 + 1]
end

local function hour12(t)
  return (t.hour + 11) % 12 + 1
end

local function nine(t)
  return format("%09d", t.ns)
end

-- An offset as a zone token spells it: the layout's own text shows colons, seconds and whether Z is UTC.
local function zone(t, token)
  local text, offset = token.text, t.offset
  if offset == 0 and sub(text, 1, 1) == "Z" then
    return "Z"
  end
  local size = offset < 0 and -offset or offset
  local colon = find(text, ":", 1, true) and ":" or ""
  local out = (offset <= -60 and "-" or "+") .. format("%02d", size // 3600)
  local digits = #gsub(text, "%D", "")
  if digits >= 4 then
    out = out .. colon .. format("%02d", size // 60 % 60)
  end
  if digits == 6 then
    out = out .. colon .. format("%02d", size % 60)
  end
  return out
end

local function abbreviation(t)
  if t.abbr ~= "" then
    return t.abbr
  end
  return zone(t, { text = "-0700" })
end

local WRITERS = {
  year = function(t)
    return format(t.year < 0 and "%05d" or "%04d", t.year)
  end,
  year2 = function(t)
    return format("%02d", (t.year < 0 and 0 or t.year) % 100)
  end,
  month = number("month", 1),
  month2 = number("month", 2),
  month_name = function(t)
    return MONTHS[t.month]
  end,
  month_short = function(t)
    return sub(MONTHS[t.month], 1, 3)
  end,
  day_name = weekday,
  day_short = function(t)
    return sub(weekday(t), 1, 3)
  end,
  day = number("day", 1),
  day2 = number("day", 2),
  day_padded = function(t)
    return format("%2d", t.day)
  end,
  yday3 = function(t)
    return format("%03d", year_day(t))
  end,
  yday_padded = function(t)
    return format("%3d", year_day(t))
  end,
  hour = number("hour", 2),
  hour12 = function(t)
    return format("%d", hour12(t))
  end,
  hour12_2 = function(t)
    return format("%02d", hour12(t))
  end,
  minute = number("minute", 1),
  minute2 = number("minute", 2),
  second = number("second", 1),
  second2 = number("second", 2),
  PM = function(t)
    return t.hour >= 12 and "PM" or "AM"
  end,
  pm = function(t)
    return t.hour >= 12 and "pm" or "am"
  end,
  fraction = function(t, token)
    return token.point .. sub(nine(t) .. raw.string.rep("0", token.digits - 9), 1, token.digits)
  end,
  fraction_trimmed = function(t, token)
    local digits = gsub(sub(nine(t), 1, token.digits), "0+$", "")
    return digits == "" and "" or token.point .. digits
  end,
  zone = zone,
  abbr = abbreviation,
}

local layouts = { tokens_of = tokens_of, MONTHS = MONTHS, DAYS = DAYS }

function layouts.format(layout, year, month, day, hour, minute, second, ns, offset, abbr)
  local t = {
    year = year, month = month, day = day, hour = hour, minute = minute, second = second,
    ns = ns, offset = offset, abbr = abbr,
  }
  local tokens = tokens_of(layout)
  local parts, n = {}, 0
  for i = 1, #tokens do
    local token = tokens[i]
    parts[n + 1], parts[n + 2] = token.prefix, WRITERS[token.kind](t, token)
    n = n + 2
  end
  parts[n + 1] = tokens.tail
  return concat(parts)
end

return layouts
