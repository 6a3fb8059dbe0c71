-- The wire codec: values that cross a boundary, as JSON (the rules are those of saros/values.py).
local rt = ...
local raw = rt.raw
local type, math_type = raw.type, raw.math.type
local find, sub, byte, concat, utf8_len =
  raw.string.find, raw.string.sub, raw.string.byte, raw.table.concat, raw.utf8.len
local encoding, decoding = rt.library("json_encode"), rt.library("json_decode")

local LARGEST = (16 << 20) - (64 << 10) -- as in saros/model/values.py
local MAX_WIRE_DEPTH = 1000 -- more than any value has; foreign JSON must not exhaust the stack

-- class -> function(state, object): the value that crosses for an object, and its reserved key,
-- if any. An object of a class without such a function cannot cross.
rt.wire = rt.keep(rt.wire or {})

-- The bytes as text: invalid UTF-8 becomes U+FFFD.
local function text(bytes)
  local parts, n, pos = {}, 0, 1
  local length, bad = utf8_len(bytes)
  if length then
    return bytes
  end
  while bad do
    n = n + 1
    parts[n] = sub(bytes, pos, bad - 1)
    pos = bad + 1
    length, bad = utf8_len(bytes, pos)
  end
  return concat(parts, "\u{FFFD}") .. "\u{FFFD}" .. sub(bytes, pos)
end
rt.text = text

-- Whether a value is a non-empty string that crosses as text: other bytes cross as an object, which names nothing.
function rt.is_text(value)
  return type(value) == "string" and value ~= "" and (not find(value, "[\128-\255]") or utf8_len(value) ~= nil)
end

rt.MAX_NAME = 900 -- bytes of a registered name, as in saros/model/options.py

function rt.is_name(value)
  return rt.is_text(value) and #value <= rt.MAX_NAME
end

-- At most `most` bytes of a text, cut between characters.
local function beginning(bytes, most)
  for _ = 1, 3 do
    local following = byte(bytes, most + 1)
    if following and following & 0xC0 == 0x80 then
      most = most - 1
    end
  end
  return sub(bytes, 1, most)
end

local MAX_ERROR_TEXT = 10000 -- as in saros/model/errors.py

-- A text of an error; a long text is cut and states its size.
local function bounded(bytes)
  local size = #bytes
  local safe = text(size > MAX_ERROR_TEXT and beginning(bytes, MAX_ERROR_TEXT) or bytes)
  if size <= MAX_ERROR_TEXT and #safe <= MAX_ERROR_TEXT then
    return safe
  end
  local marker = "... (" .. size .. " bytes)"
  return beginning(safe, MAX_ERROR_TEXT - #marker) .. marker
end

-- The fields of ErrorData are text: a message with odd bytes must not stop the error.
function rt.wire.error(state)
  local wire = {
    message = bounded(state.message),
    kind = state.kind ~= "" and bounded(state.kind) or nil,
    retryable = state.retryable,
    details = state.details,
    stack = state.stack and bounded(state.stack),
    context = state.context and bounded(state.context),
  }
  return wire, "$error"
end

local function a(word)
  return (find(word, "^[aeiou]") and "an " or "a ") .. word
end

-- Whether a table is an object of the runtime, not data.
function rt.is_object(x)
  return rt.class_of(x) ~= nil or type(x) == "userdata"
end

-- For an object that may cross: true, the value that crosses, its reserved key; else false, a description.
function rt.wire_object(object)
  local name, state = rt.class_of(object)
  local hook = rt.wire[name]
  if not hook then
    return false, a(name or "userdata")
  end
  return true, hook(state, object)
end

local encode = encoding.encoder({
  is_object = rt.is_object,
  object = rt.wire_object,
  binary = function(bytes)
    local ok, text, why = rt.host("base64_encode", bytes)
    if not ok then
      return nil, "a string of " .. #bytes .. " bytes (" .. why .. ")"
    end
    return '{"$bin":"' .. text .. '"}'
  end,
  not_finite = function(what)
    return nil, what
  end,
  guard = function(key)
    if find(key, "^%$+bin$") or find(key, "^%$+error$") then
      return "$" .. key
    end
    return key
  end,
})

local function grouped(number)
  local text = number .. ""
  while find(text, "^%d%d%d%d") do
    text = raw.string.gsub(text, "^(%d+)(%d%d%d)", "%1,%2")
  end
  return text
end

-- What to say about this many bytes of what crosses at once; nil if a program can take them.
function rt.oversize(size)
  if size > LARGEST then
    return grouped(size) .. " bytes, and the limit is " .. grouped(LARGEST) .. "; store it elsewhere and pass a reference"
  end
end

-- The JSON of a value. Raises a string that names the part that is not data, or says that the value is too large;
-- `path` is the name of the value itself.
function rt.encode(value, path)
  local kind = type(value)
  if kind == "string" and #value <= 16384 and not find(value, '["\\\0-\31\128-\255]') then
    return '"' .. value .. '"'
  elseif math_type(value) == "integer" then
    return value .. ""
  end
  local json, where, what = encode(value)
  if not json then
    raw.error((path or "value") .. where .. " is " .. what .. ", which cannot cross a boundary", 0)
  end
  if #json > LARGEST then
    raw.error((path or "value") .. " has " .. rt.oversize(#json), 0)
  end
  return json
end

local function optional(value, kind)
  return value == nil or type(value) == kind
end

local function is_error_data(value)
  return type(value) == "table"
    and type(value.message) == "string"
    and optional(value.kind, "string")
    and optional(value.retryable, "boolean")
    and optional(value.stack, "string")
    and optional(value.context, "string")
end

-- The value of an object with one reserved key; nil for an ordinary object.
local function revive(key, value)
  if key == "$bin" and type(value) == "string" then
    local ok, bytes = rt.host("base64_decode", value)
    return ok and bytes or nil
  elseif key == "$error" and is_error_data(value) then
    return rt.decode_error(value)
  elseif value ~= nil and (find(key, "^%$%$+bin$") or find(key, "^%$%$+error$")) then
    return { [sub(key, 2)] = value }
  end
  return nil
end

-- The value of a JSON text. Raises a string when the text is not JSON.
rt.decode = decoding.decoder(MAX_WIRE_DEPTH, revive)

-- The length of an array that was decoded, nulls included.
rt.length = decoding.length
