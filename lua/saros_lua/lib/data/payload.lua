-- The payload global: a value together with its format (lua-surface §4).
local rt = ...
rt.lasting()
local raw = rt.raw
local type, pcall, find, utf8_len = raw.type, raw.pcall, raw.string.find, raw.utf8.len

local FORMAT = {
  JSON = "json/plain",
  YAML = "yaml/plain",
  STRING = "text/plain",
  BYTES = "application/octet-stream",
  MSGPACK = "application/msgpack",
  LUA = "lua/any",
  GOLANG = "golang/any",
  ERROR = "golang/error",
}

local new, get

local function self_of(self, method)
  local state = get(self)
  if not state then
    raw.error("expected a payload; call it as payload:" .. method .. "()", 3)
  end
  return state
end

local function failed(message)
  return rt.fail("Internal", message)
end

-- Between formats ----------------------------------------------------------------------------------
-- A text format is written and read by two functions: value -> text, and text -> value; or nil, err.

local function host(name, argument)
  local ok, result, message = rt.host(name, argument)
  if not ok then
    return failed(message)
  end
  return result
end

local function by_host(format)
  local function write(value)
    local ok, wire = pcall(rt.encode, value, "payload")
    if not ok then
      return failed(wire)
    end
    return host("payload_to_" .. format, wire)
  end
  local function read(text)
    local wire, err = host("payload_from_" .. format, text)
    if not wire then
      return nil, err
    end
    return rt.decode(wire)
  end
  return { write = write, read = read }
end

local texts = {
  [FORMAT.YAML] = by_host("yaml"),
  [FORMAT.MSGPACK] = by_host("msgpack"),
  [FORMAT.JSON] = {
    write = function(value)
      rt.library("json")
      return rt.exact_json(value)
    end,
    read = function(text)
      return rt.library("json").decode(text)
    end,
  },
}

-- The payload's value, as a Lua value; or nil, err.
local function value_of(state)
  local text = texts[state.format]
  if text then
    return text.read(state.data)
  end
  return state.data
end

local function plain_text(value)
  local kind = type(value)
  if kind == "string" then
    return value
  elseif kind == "number" or kind == "boolean" then
    return rt.env.tostring(value)
  elseif rt.error_state(value) then
    return rt.env.tostring(value)
  end
  return nil
end

-- The data of a value in a format; nil, err. A value of nil is data too, so success says true first.
local function written(value, format)
  if texts[format] then
    local text, err = texts[format].write(value)
    return text ~= nil, text, err
  elseif format == FORMAT.LUA or format == FORMAT.GOLANG then
    return true, value
  elseif format == FORMAT.ERROR then
    if rt.error_state(value) then
      return true, value
    end
    return false, failed("a " .. rt.env.type(value) .. " is not an error")
  end
  local text = plain_text(value)
  if not text then
    return false, failed("a " .. rt.env.type(value) .. " cannot become " .. format .. "; use payload.format.JSON")
  elseif format == FORMAT.STRING and not utf8_len(text) then
    return false, failed("the bytes are not UTF-8 text; use payload.format.BYTES")
  end
  return true, text
end

local known = {}
for _, format in raw.next, FORMAT do
  known[format] = true
end

-- The class ----------------------------------------------------------------------------------------

local methods = {}

function methods.data(self)
  return self_of(self, "data").data
end

function methods.get_format(self)
  return self_of(self, "get_format").format
end

-- A copy of the payload's value.
function methods.unmarshal(self)
  local state = self_of(self, "unmarshal")
  local value, err = value_of(state)
  if err then
    return nil, err
  elseif texts[state.format] then
    return value, nil -- just made
  end
  local ok, wire = pcall(rt.encode, value, "payload")
  if not ok then
    return failed(wire)
  end
  return rt.decode(wire), nil
end

-- The same value in another format: a payload, or nil, err.
function methods.transcode(self, format)
  local state = self_of(self, "transcode")
  if not known[format] then
    return failed("there is no payload format " .. rt.shown(format))
  elseif format == state.format then
    return self, nil
  end
  local value, err = value_of(state)
  if err then
    return nil, err
  end
  local ok, data, why = written(value, format)
  if not ok then
    return nil, why
  end
  return new({ data = data, format = format }), nil
end

new, get = rt.class("payload", methods, {
  __tostring = function(self)
    return "payload: " .. get(self).format
  end,
})

-- Inside a value that crosses a boundary, a payload becomes its own value.
function rt.wire.payload(_, object)
  local value, err = value_of(get(object))
  if err then
    raw.error(err:message(), 0)
  end
  return value
end

-- Makes a payload of a value; returns a payload as it is.
function rt.payload_new(value)
  if get(value) then
    return value
  end
  return new({ data = value, format = rt.error_state(value) and FORMAT.ERROR or FORMAT.LUA })
end

return { new = rt.payload_new, format = FORMAT }
