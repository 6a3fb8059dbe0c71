-- The wire codec: values that cross a boundary, as JSON (the rules are those of saros/values.py).
local rt = ...
local raw = rt.raw
local type, next, math_type = raw.type, raw.next, raw.math.type
local find, sub = raw.string.find, raw.string.sub
local encoding, decoding, base64 = rt.library("json_encode"), rt.library("json_decode"), rt.library("binary")

local MAX_WIRE_DEPTH = 1000 -- more than any value has; a text from elsewhere must not exhaust the stack

-- class -> function(state, object): the value that crosses for an object, and the reserved key it goes
-- under, if any. A class without one stays where it was made.
rt.wire = rt.wire or {}

function rt.wire.error(_, err)
  local state = rt.error_state(err)
  local wire = {
    message = state.message,
    kind = state.kind ~= "" and state.kind or nil,
    retryable = state.retryable,
    details = state.details,
    stack = state.stack,
    context = state.context,
  }
  return wire, "$error"
end

local function a(word)
  return (find(word, "^[aeiou]") and "an " or "a ") .. word
end

local encode = encoding.encoder({
  is_object = function(x)
    return rt.class_of(x) ~= nil or type(x) == "userdata"
  end,
  object = function(x)
    local class, state = rt.class_of(x)
    local hook = class and rt.wire[class]
    if not hook then
      return false, a(class or "userdata")
    end
    return true, hook(state, x)
  end,
  binary = function(bytes)
    return '{"$bin":"' .. base64.encode(bytes) .. '"}'
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

-- The JSON of a value. Raises a text that names the part that is not data; `path` is what the value itself
-- is called there.
function rt.encode(value, path)
  local kind = type(value)
  if kind == "string" and not find(value, '["\\\0-\31\128-\255]') then
    return '"' .. value .. '"'
  elseif math_type(value) == "integer" then
    return value .. ""
  end
  local json, where, what = encode(value)
  if not json then
    raw.error((path or "value") .. where .. " is " .. what .. ", which cannot cross a boundary", 0)
  end
  return json
end

-- A list with nil in it has no meaning of its own, hence plain tables for everything but these.
local function revive(key, value)
  if key == "$bin" and type(value) == "string" then
    return base64.decode(value)
  elseif key == "$error" and type(value) == "table" and type(value.message) == "string" then
    return rt.decode_error(value)
  elseif find(key, "^%$%$+bin$") or find(key, "^%$%$+error$") then
    if value == nil then
      return nil
    end
    return { [sub(key, 2)] = value }
  end
  return nil
end

-- The value of a JSON text. Raises a text when it is not JSON.
rt.decode = decoding.decoder(MAX_WIRE_DEPTH, revive)

-- The length of an array that was decoded, nulls included.
rt.length = decoding.length
