-- Lua values to JSON text: the fast core under the wire codec and the json module.
--
-- The text of equal values is the same in every VM: keys are sorted by their bytes, and a float is the
-- shortest text (of at least 14 digits) that reads back as the same number.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, next, tonumber, math_type = raw.type, raw.next, raw.tonumber, raw.math.type
local rawget, getmetatable = raw.rawget, raw.getmetatable
local find, format, gsub, byte = raw.string.find, raw.string.format, raw.string.gsub, raw.string.byte
local concat, move, utf8_len = raw.table.concat, raw.table.move, raw.utf8.len
local HUGE = raw.math.huge
local searching = rt.searching
local shape_of = rt.library("json_decode").shape

local MAX_DEPTH = 128
local LONG = 16384 -- bytes
local MAX_KEY = 65536 -- bytes, as in json_decode.lua
local MAX_KNOWN = 1000 -- keys whose JSON is kept
local MAX_BUFFER = 4096 -- pieces; a longer buffer is not kept
local SPECIAL = '["\\\0-\31\128-\255]' -- a string without any of these is written as it is

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n" }
escapes["\r"], escapes["\t"] = "\\r", "\\t"
for code = 0, 31 do
  local c = raw.string.char(code)
  escapes[c] = escapes[c] or format("\\u%04x", code)
end

-- The JSON string; nil when the bytes are not UTF-8.
local function quote(text)
  if find(text, "[\128-\255]") and not utf8_len(text) then
    return nil
  end
  return '"' .. gsub(text, '["\\\0-\31]', escapes) .. '"'
end

-- A finite float. It has a point or an exponent, so that it does not come back as an integer; with `whole`,
-- whole numbers have neither.
local function float(value, whole)
  local text, digits = value .. "", 14
  while tonumber(text) ~= value do
    digits = digits + 1
    text = format("%." .. digits .. "g", value)
  end
  if whole then
    return (gsub(text, "%.0$", ""))
  elseif not find(text, "[.e]") then
    text = text .. ".0"
  end
  return text
end

-- The fault of a table that is neither a list nor a map; it does not depend on the order of the keys.
local function misshapen(t)
  local text, number, other, items
  for key in next, t do
    local kind = type(key)
    if kind == "string" then
      text = (not text or key < text) and key or text
    elseif math_type(key) == "integer" and key > 0 then
      items = true
    elseif kind == "number" then
      number = (not number or key < number) and key or number
    else
      other = (not other or kind < other) and kind or other
    end
  end
  if number then
    return "a map with the key " .. number .. "; keys are text"
  elseif other then
    return "a map with a " .. other .. " as a key; keys are text"
  elseif text and items then
    return "a mix of list items and the key " .. '"' .. rt.shown(text) .. '"' .. "; make it one or the other"
  end
  local hole = 1
  while rawget(t, hole) ~= nil do
    hole = hole + 1
  end
  return "a sparse array (item " .. hole .. " is missing)"
end

-- Number of items when the keys of `t` are 1, 2, ... without a gap, else nil.
local function list_length(t)
  local count, in_order = 0, true
  for key in next, t do
    count = count + 1
    in_order = in_order and key == count
  end
  if not in_order then
    for i = 1, count do
      if rawget(t, i) == nil then
        return nil
      end
    end
  end
  return count
end

-- One encoder with its buffer and stack of keys: encode(value) -> text, or nil and a fault.
-- Its functions get the number of pieces in the buffer and return the new one, or nil and the fault:
-- {what =, table = ?, part, part, ...}, whose parts are the path from the innermost outwards.
local function worker(policy)
  local buffer, keys, whole = {}, {}, policy.whole
  local heads, tails, known = {}, {}, 0 -- '{"key":' and ',"key":' of known keys
  local put

  local function refuse(what, t)
    return nil, { what = what, table = t }
  end

  local function within(fault, t, part)
    if fault.table == t then -- a cycle is reported at its outermost table
      for i = #fault, 1, -1 do
        fault[i] = nil
      end
      fault.what = "a cycle (a table that contains itself)"
    else
      fault[#fault + 1] = part
    end
    return nil, fault
  end

  local function put_special(n, text)
    local quoted = quote(text)
    if not quoted then
      local what
      quoted, what = policy.binary(text)
      if not quoted then
        return refuse(what)
      end
    end
    buffer[n + 1] = quoted
    return n + 1
  end

  -- The host writes long strings, because it is faster. Strings too large for it would take long here, too.
  local function put_long(n, text)
    local ok, quoted = rt.host("json_quote", text)
    if not ok and quoted == "Invalid" then
      return refuse("a text of " .. #text .. " bytes, whose JSON is too large")
    elseif not ok or not quoted then
      return put_special(n, text)
    end
    buffer[n + 1] = quoted
    return n + 1
  end

  local function put_not_finite(n, value)
    local text, what = policy.not_finite(value ~= value and "NaN" or "an infinite number")
    if not text then
      return refuse(what)
    end
    buffer[n + 1] = text
    return n + 1
  end

  local function put_list(n, t, count, depth, base)
    n = n + 1
    buffer[n] = "["
    for i = 1, count do
      if i > 1 then
        n = n + 1
        buffer[n] = ","
      end
      local item, done, fault = rawget(t, i), nil, nil
      done, fault = put(n, item, depth, base)
      if not done then
        return within(fault, t, "[" .. i .. "]")
      end
      n = done
    end
    buffer[n + 1] = "]"
    return n + 1
  end

  -- Sorts keys[base + 1], ..., keys[top].
  local function arrange(base, top)
    if top - base > 12 then
      local sorted = move(keys, base + 1, top, 1, {})
      rt.sort_keys(sorted, top - base)
      move(sorted, 1, top - base, base + 1, keys)
      return
    end
    for i = base + 2, top do
      local key, j = keys[i], i - 1
      while j > base and key < keys[j] do
        keys[j + 1] = keys[j]
        j = j - 1
      end
      keys[j + 1] = key
    end
  end

  local function learn(key)
    if #key > MAX_KEY then
      return refuse("a map with a key of more than " .. MAX_KEY .. " bytes")
    end
    local quoted = quote(key)
    if not quoted then
      return refuse("a map with a key whose bytes are not UTF-8 text")
    end
    if known == MAX_KNOWN then
      heads, tails, known = {}, {}, 0
    end
    known = known + 1
    heads[key], tails[key] = "{" .. quoted .. ":", "," .. quoted .. ":"
    return true
  end

  local function put_map(n, t, depth, base)
    local top = base
    for key in next, t do
      if type(key) ~= "string" then
        return refuse(misshapen(t))
      end
      top = top + 1
      keys[top] = key
    end
    local guard = top == base + 1 and policy.guard
    if not guard then
      arrange(base, top)
    end
    for i = base + 1, top do
      local key = keys[i]
      local name = guard and byte(key) == 36 and guard(key) or key
      if not heads[name] then
        local ok, fault = learn(name)
        if not ok then
          return nil, fault
        end
      end
      buffer[n + 1] = (i == base + 1 and heads or tails)[name]
      local done, fault = put(n + 1, t[key], depth, top)
      if not done then
        return within(fault, t, "." .. rt.shown(key))
      end
      n = done
    end
    buffer[n + 1] = "}"
    return n + 1
  end

  local function put_table(n, t, depth, base)
    searching()
    local first = next(t)
    if type(first) == "string" then
      return put_map(n, t, depth, base)
    end
    local length = shape_of(t)
    if length == false then
      buffer[n + 1] = "{}"
      return n + 1
    end
    length = length or list_length(t)
    if not length then
      return refuse(misshapen(t))
    end
    return put_list(n, t, length, depth, base)
  end

  -- An object of the runtime: an error, a time, a channel...; `tag` is its reserved key.
  local function put_object(n, object, depth, base)
    local known_object, value, tag = policy.object(object)
    if not known_object then
      return refuse(value)
    elseif not tag then
      return put(n, value, depth, base)
    end
    buffer[n + 1] = '{"' .. tag .. '":'
    local done, fault = put(n + 1, value, depth, base)
    if not done then
      return nil, fault
    end
    buffer[done + 1] = "}"
    return done + 1
  end

  function put(n, value, depth, base)
    local kind = type(value)
    if kind == "string" then
      if #value > LONG then
        return put_long(n, value)
      elseif find(value, SPECIAL) then
        return put_special(n, value)
      end
      buffer[n + 1] = '"' .. value .. '"'
    elseif kind == "number" then
      if math_type(value) == "integer" then
        buffer[n + 1] = value
      elseif value ~= value or value == HUGE or value == -HUGE then
        return put_not_finite(n, value)
      else
        buffer[n + 1] = float(value, whole)
      end
    elseif kind == "table" or kind == "userdata" then
      if depth >= MAX_DEPTH then
        return refuse("nested deeper than " .. MAX_DEPTH .. " levels", value)
      elseif (kind == "userdata" or getmetatable(value) ~= nil) and policy.is_object(value) then
        return put_object(n, value, depth + 1, base)
      end
      return put_table(n, value, depth + 1, base)
    elseif kind == "boolean" then
      buffer[n + 1] = value and "true" or "false"
    elseif kind == "nil" then
      buffer[n + 1] = "null"
    else
      return refuse(kind == "thread" and "a coroutine" or "a " .. kind)
    end
    return n + 1
  end

  return function(value)
    local n, fault = put(0, value, 0, 0)
    if not n then
      return nil, fault
    end
    if n > 1000 then
      rt.charge(n)
    end
    local text = rt.noted(concat(buffer, "", 1, n))
    if n > MAX_BUFFER then
      buffer, keys = {}, {}
    end
    return text
  end
end

local json = {}

-- Makes encode(value) -> text, or nil, path, what: the path ("items[3].price") of what cannot be
-- written, and what it is ("a function"). The policy says:
--   is_object(x): whether a table with a metatable is an object of the runtime
--   object(x): true, the value to write for it, a reserved key ?; or false, a description
--   binary(bytes), not_finite(what): JSON; or nil, what it is
--   whole ?: whether floats that are whole numbers are written as integers
--   guard(key) ?: the key to write instead, for one that starts with "$" and is alone in its map
function json.encoder(policy)
  local idle
  return function(value)
    local encode = idle or worker(policy)
    idle = nil -- a hook of the policy may encode something meanwhile
    local text, fault = encode(value)
    idle = encode
    if text then
      return text
    end
    local path, n = {}, #fault
    for i = 1, n do
      path[i] = fault[n + 1 - i]
    end
    return nil, concat(path), fault.what
  end
end

return json
