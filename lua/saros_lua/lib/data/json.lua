-- The json module: plain JSON for the outside world, and JSON Schema (lua-surface §10).
--
-- Unlike the wire codec, it has no reserved keys: "$bin" and "$error" are keys like others.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, pcall, utf8_len = raw.type, raw.pcall, raw.utf8.len
local encoding, decoding = rt.library("json_encode"), rt.library("json_decode")

local MAX_DEPTH = 128 -- decoded values can also be encoded, and cross a boundary

-- An error is written as the fields that its methods return; other objects as they cross a boundary.
local function stand_in(object)
  local state = rt.error_state(object)
  if not state then
    return rt.wire_object(object)
  end
  local kind = state.kind ~= "" and rt.text(state.kind) or nil
  local message = state.context and state.context .. ": " .. state.message or state.message
  return true, { message = rt.text(message), kind = kind, retryable = state.retryable, details = state.details }
end

-- `whole`: floats that are whole numbers are written as integers, like other tools do.
local function encoder(whole)
  return encoding.encoder({
    is_object = rt.is_object,
    object = stand_in,
    binary = function()
      return nil, "a string whose bytes are not UTF-8 text"
    end,
    not_finite = function()
      return "null"
    end,
    whole = whole,
  })
end

local encode, exact = encoder(true), encoder(false)

local decode = decoding.decoder(MAX_DEPTH)

local function invalid(message)
  return rt.error({ kind = "Invalid", message = message, retryable = false })
end

local json = {}

local function written(text, where, what)
  if not text then
    return rt.fail("Internal", "value" .. where .. " is " .. what .. ", which JSON cannot hold")
  end
  return text, nil
end

function json.encode(value)
  return written(encode(value))
end

-- The same, but 3 and 3.0 stay different: payloads come back unchanged.
function rt.exact_json(value)
  return written(exact(value))
end

function json.decode(text)
  if type(text) ~= "string" then
    return rt.fail("Invalid", "json.decode expects a string, not a " .. rt.env.type(text))
  elseif text == "" then
    return rt.fail("Invalid", "json.decode expects a non-empty string")
  end
  local length, bad = utf8_len(text)
  if not length then
    return rt.fail("Internal", "not valid JSON: byte " .. bad .. " is not UTF-8 text")
  end
  local ok, value = pcall(decode, text)
  if not ok then
    return rt.fail("Internal", value)
  end
  return value, nil
end

-- The JSON of a schema, which is a table or a string; nil, err.
local function schema_text(schema)
  local kind = rt.env.type(schema)
  if kind == "string" then
    return schema
  elseif kind ~= "table" and kind ~= "boolean" then
    return nil, invalid("the schema must be a table or a JSON text, not a " .. kind)
  end
  local text, err = json.encode(schema)
  if not text then
    return nil, invalid("the schema: " .. err:message())
  end
  return text
end

-- `loose`: an empty table in the data counts as a list or as an object, as the schema requires.
local function check(schema, text, loose)
  local schema_json, err = schema_text(schema)
  if not schema_json then
    return false, err
  end
  local ok, kind, message = rt.host("json_validate", schema_json, type(schema) ~= "string", text, loose)
  if not ok then
    return false, rt.error({ kind = kind, message = message, retryable = false })
  end
  return true, nil
end

-- Whether data matches a schema: true, or false, err.
function json.validate(schema, data)
  if data == nil then
    return false, invalid("data is required")
  end
  local text, where, what = encode(data)
  if not text then
    return false, invalid("data" .. where .. " is " .. what .. ", which JSON cannot hold")
  end
  return check(schema, text, true)
end

function json.validate_string(schema, text)
  if text == nil then
    return false, invalid("data is required")
  elseif type(text) ~= "string" then
    return false, invalid("json.validate_string expects a JSON string, not a " .. rt.env.type(text))
  end
  return check(schema, text, false)
end

return json
