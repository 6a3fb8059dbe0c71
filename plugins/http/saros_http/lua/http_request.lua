-- The request of a handler, as an object: http.request() of the http module.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, next, tonumber = raw.type, raw.next, raw.tonumber
local match, gmatch, lower = raw.string.match, raw.string.gmatch, raw.string.lower
local concat, sub = raw.table.concat, raw.string.sub
local ask, self_of = rt.http.ask, rt.http.self_of

local PART = 64 * 1024 -- bytes of a body that stream:read gives when it is not told how many

local new_request, request_of
local new_stream, stream_of
local new_file, file_of

local function copy(t)
  local result = {}
  for key, value in next, t do
    result[key] = type(value) == "table" and copy(value) or value
  end
  return result
end

local function first(value)
  if type(value) == "table" then
    return value[1]
  end
  return value
end

-- The values of a name as a new list.
local function all(value)
  if type(value) == "table" then
    return copy(value)
  end
  return { value }
end

local function joined(value, separator)
  if type(value) == "table" then
    return concat(value, separator)
  end
  return value
end

local function all_joined(map, separator_of)
  local result = {}
  for name, value in next, map do
    result[name] = joined(value, separator_of(name))
  end
  return result
end

local function comma()
  return ","
end

-- A part of the head as a table. It comes as a list of names and values; a name that occurs several times
-- has a list of values.
local function part_of(state, part)
  local cached = "map of " .. part
  local map = state[cached]
  if not map then
    local flat = state[part] or {}
    map = {}
    for i = 1, #flat, 2 do
      local name, value = flat[i], flat[i + 1]
      local known = map[name]
      if known == nil then
        map[name] = value
      elseif type(known) == "table" then
        known[#known + 1] = value
      else
        map[name] = { known, value }
      end
    end
    state[cached] = map
  end
  return map
end

local function separator(name)
  return name == "cookie" and "; " or ", "
end

local function header_values(headers, name)
  return type(name) == "string" and headers[lower(name)] or nil
end

local function header(state, name)
  local value = header_values(part_of(state, "headers"), name)
  return value and joined(value, separator(lower(name)))
end

-- "type/subtype" without parameters, in lower case.
local function media_type(text)
  return lower(match(text, "^%s*([^;%s]*)"))
end

local function type_fits(pattern, media)
  if pattern == "*/*" or pattern == media then
    return true
  end
  local family = match(pattern, "^([^/]+)/%*$")
  return family ~= nil and family == match(media, "^([^/]+)/")
end

local function body(state)
  if state.body == nil then
    if state.streamed then
      return rt.fail("Invalid", "the body was read with stream() already")
    end
    local value, err = ask("body")
    if err then
      return nil, err
    end
    state.body = value
  end
  return state.body, nil
end

local function form(state)
  if not state.form then
    local value, err = ask("form")
    if err then
      return nil, err
    end
    state.form = value
  end
  return copy(state.form), nil
end

local requests = {}

local function request_method(name, fn)
  requests[name] = function(self, ...)
    return fn(self_of(request_of, self, "request", name), ...)
  end
end

-- What the head says, by the name of the method that tells it.
for name, field in next, {
  method = "method", path = "path", remote_addr = "client", scheme = "scheme", content_length = "length",
} do
  request_method(name, function(state)
    return state[field]
  end)
end

request_method("request_id", function()
  return rt.start.context.request_id
end)
request_method("host", function(state)
  return header(state, "host")
end)
request_method("query", function(state, name)
  return first(part_of(state, "query")[name])
end)
request_method("query_all", function(state, name)
  return all(part_of(state, "query")[name])
end)
request_method("query_params", function(state)
  return all_joined(part_of(state, "query"), comma)
end)
request_method("header", header)
request_method("header_all", function(state, name)
  return all(header_values(part_of(state, "headers"), name))
end)
request_method("headers", function(state)
  return all_joined(part_of(state, "headers"), separator)
end)
request_method("param", function(state, name)
  return part_of(state, "params")[name]
end)
request_method("params", function(state)
  return copy(part_of(state, "params"))
end)
request_method("content_type", function(state)
  return header(state, "content-type")
end)
request_method("has_body", function(state)
  return state.length ~= 0
end)
request_method("body", body)

request_method("body_json", function(state)
  local text, err = body(state)
  if not text then
    return nil, err
  elseif text == "" then
    return rt.fail("Invalid", "the request has no body")
  end
  local value
  value, err = rt.library("json").decode(text)
  if err then
    return rt.fail("Invalid", "the body is not JSON: " .. err:message())
  end
  return value, nil
end)

request_method("is_content_type", function(state, wanted)
  local given = header(state, "content-type")
  return given ~= nil and type(wanted) == "string" and type_fits(media_type(wanted), media_type(given))
end)

-- Whether the client takes that content type; one without an Accept header takes everything.
request_method("accepts", function(state, wanted)
  local accept = header(state, "accept")
  if type(wanted) ~= "string" then
    return false
  elseif not accept or accept == "" then
    return true
  end
  local media, best, quality = media_type(wanted), -1, 0
  for part in gmatch(accept, "[^,]+") do
    local pattern = media_type(part)
    if type_fits(pattern, media) then
      local exact = pattern == media and 2 or pattern ~= "*/*" and 1 or 0
      if exact > best then
        best, quality = exact, tonumber(match(part, ";%s*[qQ]=([%d.]+)")) or 1
      end
    end
  end
  return quality > 0
end)

request_method("stream", function(state)
  if not state.stream then
    state.streamed = true
    state.stream = new_stream({ source = state })
  end
  return state.stream
end)

-- The fields of a form: name -> text, or a list of texts for a name that occurs several times.
local function fields(parsed)
  local values = {}
  for name, list in next, parsed.values do
    values[name] = list[2] ~= nil and list or list[1]
  end
  return values
end

request_method("form", function(state)
  local parsed, err = form(state)
  if not parsed then
    return nil, err
  end
  return fields(parsed), nil
end)

-- {values = {name = text or list of texts}, files = {name = {file, ...}}}; `max` is a limit in bytes.
request_method("parse_multipart", function(state, max)
  if max ~= nil and (raw.math.type(max) ~= "integer" or max < 1) then
    return rt.fail("Invalid", "request:parse_multipart expects a number of bytes, an integer of 1 or more")
  end
  local parsed, err = form(state)
  if not parsed then
    return nil, err
  elseif max and parsed.size > max then
    return rt.fail("Invalid", "the form is larger than " .. max .. " bytes")
  end
  for _, list in next, parsed.files do
    for i = 1, #list do
      list[i] = new_file(list[i])
    end
  end
  return { values = fields(parsed), files = parsed.files }, nil
end)

new_request, request_of = rt.class("request", requests)

local files = {}

local function file_method(name, fn)
  files[name] = function(self, ...)
    return fn(self_of(file_of, self, "file", name), ...)
  end
end

for name, field in next, { name = "name", size = "size", content_type = "content_type", data = "data" } do
  file_method(name, function(file)
    return file[field]
  end)
end
file_method("header", function(file, name)
  return first(header_values(file.headers, name))
end)
file_method("stream", function(file)
  return new_stream({ source = { body = file.data } })
end)

new_file, file_of = rt.class("request.file", files)

new_stream, stream_of = rt.class("request.stream", {
  -- The next part of the body, of at most `size` bytes; nil at its end; nil, err.
  read = function(self, size)
    local stream = self_of(stream_of, self, "stream", "read")
    if size == nil then
      size = PART
    end
    if raw.math.type(size) ~= "integer" or size < 1 then
      return rt.fail("Invalid", "stream:read expects a number of bytes, an integer of 1 or more")
    elseif stream.closed then
      return rt.fail("Invalid", "the stream is closed")
    end
    local body = stream.source.body
    if body == nil then
      return ask("read", size)
    end
    local from = stream.at or 1 -- it came with the head
    if from > #body then
      return nil, nil
    end
    stream.at = from + size
    return sub(body, from, from + size - 1), nil
  end,

  -- Ends the reading; closing again does nothing.
  close = function(self)
    self_of(stream_of, self, "stream", "close").closed = true
    return true
  end,
})

-- What a plain GET does not have is not told.
return function(info)
  info.scheme = info.scheme or "http"
  if info.length == nil then
    info.length, info.body = 0, ""
  elseif info.length < 0 then
    info.length = nil
  end
  return new_request(info)
end
