-- JSON text to Lua values: the fast core under the wire codec and the json module.
--
-- A null in an object drops its key. A null in an array leaves a hole, and the array's length is
-- remembered; so is a table that was {}. Both cross again unchanged.
local rt = ...
rt.lasting()
local raw = rt.raw
local next, tonumber, math_type = raw.next, raw.tonumber, raw.math.type
local rawget, rawlen = raw.rawget, raw.rawlen
local byte, find, match, sub = raw.string.byte, raw.string.find, raw.string.match, raw.string.sub
local concat, utf8_char = raw.table.concat, raw.utf8.char
local HUGE = raw.math.huge

local PLAIN = '^([^"\\\0-\31]*)"()' -- the rest of a string that has no escapes
local PLAIN_KEY = '^"([^"\\\0-\31]*)":()'
local LONG = 65536 -- bytes
local MAX_DIGITS = 1000 -- characters of a number; a float of 64 bits never needs more than 767 digits
local PIECE = 4096 -- bytes that a pattern reads before the clock is looked at
local ESCAPES = {
  [34] = '"', [47] = "/", [92] = "\\", [98] = "\b", [102] = "\f", [110] = "\n", [114] = "\r", [116] = "\t",
}

local json = {}

-- table -> EMPTY_OBJECT, or {hole, hole, ..., n = length, count = items that are not null}
local shapes = raw.setmetatable({}, { __mode = "k" })
local EMPTY_OBJECT = {}

-- How `t` was decoded, if it is an array with nulls or {}, and its keys are unchanged:
-- the length of the array, or false for {}. Nil for all other tables.
function json.shape(t)
  local shape = shapes[t]
  if not shape then
    return nil
  elseif shape == EMPTY_OBJECT then
    if next(t) == nil then
      return false
    end
    return nil
  end
  for i = 1, #shape do
    if rawget(t, shape[i]) ~= nil then
      return nil
    end
  end
  local count, n = 0, shape.n
  for key in next, t do
    if math_type(key) ~= "integer" or key < 1 or key > n then
      return nil
    end
    count = count + 1
  end
  return count == shape.count and n or nil
end

-- The length of an array, including the nulls with which it was decoded.
function json.length(t)
  return json.shape(t) or rawlen(t)
end

-- Makes decode(text) -> value, which raises a string that says what is wrong, and where.
--   limit: the accepted levels of nesting
--   revive(key, value): the value of an object whose only key starts with "$"; nil: the object itself
function json.decoder(limit, revive)
  local text -- the text being read; readers take a position and return a value and the next position

  local function malformed(pos, what)
    local lines, start, break_at = 1, 0, find(text, "\n", 1, true)
    while break_at and break_at < pos do
      lines, start = lines + 1, break_at
      break_at = find(text, "\n", start + 1, true)
    end
    if pos > #text then
      what = "the text ends too early"
    end
    raw.error("not valid JSON: " .. what .. " at line " .. lines .. ", column " .. pos - start, 0)
  end

  -- Whether a pattern that reads to the end of a run could read very far from pos: if no character that is not
  -- of the run is near. In a short text nothing is far.
  local function is_far(pos, others)
    return #text - pos > LONG and not find(sub(text, pos, pos + 63), others)
  end

  local function skip(pos)
    while is_far(pos, "[^ \t\r\n]") do
      rt.charge(PIECE)
      pos = match(sub(text, pos, pos + PIECE - 1), "^[ \t\r\n]*()") + pos - 1
    end
    return match(text, "^[ \t\r\n]*()", pos)
  end

  -- One \u escape, or the pair that makes one character; pos is the position of its "u".
  local function unicode(pos)
    local hex = match(text, "^%x%x%x%x", pos + 1)
    if not hex then
      malformed(pos, "\\u without four hexadecimal digits")
    end
    local code = tonumber(hex, 16)
    if code < 0xD800 or code > 0xDFFF then
      return utf8_char(code), pos + 5
    end
    local low = code < 0xDC00 and match(text, "^\\u([dD][c-fC-F]%x%x)", pos + 5)
    if not low then
      malformed(pos, "half a surrogate pair")
    end
    return utf8_char(0x10000 + ((code - 0xD800) << 10) + (tonumber(low, 16) - 0xDC00)), pos + 11
  end

  -- The end of a string that begins at pos if it is far away, else nil.
  local function far_end(pos)
    local stop = find(text, '"', pos, true)
    while stop and stop > pos and byte(text, stop - 1) == 92 do
      local first = stop - 1
      while first > pos and byte(text, first - 1) == 92 do
        first = first - 1
      end
      if first < pos or (stop - first) % 2 == 0 then -- the backslashes escape each other
        break
      end
      stop = find(text, '"', stop + 1, true)
    end
    return stop and stop - pos > LONG and stop or nil
  end

  -- The host reads long strings: it is faster than a pattern.
  local function long_text(pos, stop)
    local ok, content, why = rt.host("json_text_of", sub(text, pos - 1, stop))
    if not ok then
      malformed(pos, why)
    end
    return content, stop + 1
  end

  -- A string with escapes; pos is the position of its first character.
  local function escaped(pos)
    local parts, n = {}, 0
    while true do
      local stop = find(text, '["\\\0-\31]', pos)
      if not stop then
        malformed(#text + 1, "")
      end
      n = n + 1
      parts[n] = sub(text, pos, stop - 1)
      local c = byte(text, stop)
      if c == 34 then
        return concat(parts, "", 1, n), stop + 1
      elseif c ~= 92 then
        malformed(stop, "a control character in a string")
      end
      c = byte(text, stop + 1)
      n = n + 1
      if c == 117 then
        parts[n], pos = unicode(stop + 1)
      else
        parts[n] = ESCAPES[c] or malformed(stop + 1, "an unknown escape")
        pos = stop + 2
      end
    end
  end

  local function number(pos)
    if is_far(pos, "[^-+.eE%d]") and not find(sub(text, pos, pos + MAX_DIGITS), "[^-+.eE%d]") then
      malformed(pos, "a number of more than " .. MAX_DIGITS .. " characters")
    end
    local digits, after = match(text, "^([-+.eE%d]+)()", pos)
    local n = tonumber(digits)
    if not n or find(digits, "^-?0%d") then
      malformed(pos, "an invalid number")
    elseif #digits > MAX_DIGITS then
      malformed(pos, "a number of more than " .. MAX_DIGITS .. " characters")
    elseif math_type(n) == "float" then
      if find(digits, "^-?%.") or find(digits, "%.%D") or find(digits, "%.$") then
        malformed(pos, "an invalid number")
      elseif n == HUGE or n == -HUGE then
        malformed(pos, "a number out of range")
      end
    end
    return n, after
  end

  local value

  local function key_of(pos)
    pos = skip(pos)
    if byte(text, pos) ~= 34 then
      malformed(pos, "expected a key in double quotes")
    end
    local key, after = match(text, PLAIN, pos + 1)
    if not key then
      key, after = escaped(pos + 1)
    end
    after = skip(after)
    if byte(text, after) ~= 58 then
      malformed(after, "expected ':'")
    end
    return key, after + 1
  end

  local function object(pos, depth)
    local t, n, key, item = {}, 0, nil, nil
    if byte(text, pos) == 125 or byte(text, skip(pos)) == 125 then
      shapes[t] = EMPTY_OBJECT
      return t, skip(pos) + 1
    end
    while true do
      local after
      if #text - pos > LONG and byte(text, pos) == 34 and far_end(pos + 1) then
        malformed(pos, "a key of more than " .. LONG .. " bytes")
      end
      key, after = match(text, PLAIN_KEY, pos)
      if not key then
        key, after = key_of(pos)
      end
      n = n + 1
      item, pos = value(after, depth)
      t[key] = item
      local c = byte(text, pos)
      if c ~= 44 and c ~= 125 then
        pos = skip(pos)
        c = byte(text, pos)
      end
      pos = pos + 1
      if c == 125 then
        break
      elseif c ~= 44 then
        malformed(pos - 1, "expected ',' or '}'")
      end
    end
    if n == 1 and revive and byte(key) == 36 then
      local revived = revive(key, item)
      if revived ~= nil then
        return revived, pos
      end
    end
    if item == nil and next(t) == nil then
      shapes[t] = EMPTY_OBJECT
    end
    return t, pos
  end

  local function array(pos, depth)
    local t, n, holes = {}, 0, nil
    if byte(text, pos) == 93 or byte(text, skip(pos)) == 93 then
      return t, skip(pos) + 1
    end
    while true do
      local item
      item, pos = value(pos, depth)
      n = n + 1
      if item == nil then
        holes = holes or {}
        holes[#holes + 1] = n
      else
        t[n] = item
      end
      local c = byte(text, pos)
      if c ~= 44 and c ~= 93 then
        pos = skip(pos)
        c = byte(text, pos)
      end
      pos = pos + 1
      if c == 93 then
        break
      elseif c ~= 44 then
        malformed(pos - 1, "expected ',' or ']'")
      end
    end
    if holes then
      holes.count, holes.n = n - #holes, n
      shapes[t] = holes
    end
    return t, pos
  end

  function value(pos, depth)
    local c = byte(text, pos)
    if c == 34 then
      local stop = #text - pos > LONG and far_end(pos + 1)
      if stop then
        return long_text(pos + 1, stop)
      end
      local plain, after = match(text, PLAIN, pos + 1)
      if plain then
        return plain, after
      end
      return escaped(pos + 1)
    elseif not c then
      malformed(pos, "")
    elseif c == 45 or c >= 48 and c <= 57 then
      return number(pos)
    elseif c == 123 or c == 91 then
      if depth >= limit then
        malformed(pos, "nested deeper than " .. limit .. " levels")
      end
      return (c == 123 and object or array)(pos + 1, depth + 1)
    elseif c == 116 and find(text, "^true", pos) then
      return true, pos + 4
    elseif c == 102 and find(text, "^false", pos) then
      return false, pos + 5
    elseif c == 110 and find(text, "^null", pos) then
      return nil, pos + 4
    elseif c == 32 or c == 10 or c == 13 or c == 9 then
      return value(skip(pos), depth)
    end
    malformed(pos, "an unexpected character")
  end

  return function(json_text)
    text = json_text
    if #text > 4096 then
      rt.charge(#text // 4)
    end
    local result, pos = value(1, 0)
    if pos <= #text then
      pos = skip(pos)
      if pos <= #text then
        malformed(pos, "more text after the value")
      end
    end
    return result
  end
end

return json
