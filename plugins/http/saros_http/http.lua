-- The http module: the request that a function serves, and its response (lua-surface §11).
--
-- The request's head, and a small body, came with START. All else goes through the service "@http", which
-- knows the request by the pid of whoever calls. A response that was not flushed is sent when the function
-- has returned: see rt.conclude at the end.
local rt = ...
local raw = rt.raw
local type, next, error = raw.type, raw.next, raw.error
local find, match, gmatch, gsub, lower = raw.string.find, raw.string.match, raw.string.gmatch, raw.string.gsub, raw.string.lower
local concat, tointeger, tonumber = raw.table.concat, raw.math.tointeger, raw.tonumber
local env_type, encode = rt.env.type, rt.encode

local AUTO_FLUSH = 64 * 1024 -- bytes that are written before they are sent, so that a stream needs little memory

local http = {
  METHOD = {
    GET = "GET", POST = "POST", PUT = "PUT", PATCH = "PATCH", DELETE = "DELETE", HEAD = "HEAD", OPTIONS = "OPTIONS",
  },
  STATUS = {
    OK = 200, CREATED = 201, ACCEPTED = 202, NO_CONTENT = 204, PARTIAL_CONTENT = 206,
    MOVED_PERMANENTLY = 301, FOUND = 302, SEE_OTHER = 303, NOT_MODIFIED = 304,
    TEMPORARY_REDIRECT = 307, PERMANENT_REDIRECT = 308,
    BAD_REQUEST = 400, UNAUTHORIZED = 401, PAYMENT_REQUIRED = 402, FORBIDDEN = 403, NOT_FOUND = 404,
    METHOD_NOT_ALLOWED = 405, NOT_ACCEPTABLE = 406, REQUEST_TIMEOUT = 408, CONFLICT = 409, GONE = 410,
    PRECONDITION_FAILED = 412, PAYLOAD_TOO_LARGE = 413, UNSUPPORTED_MEDIA_TYPE = 415,
    UNPROCESSABLE_ENTITY = 422, PRECONDITION_REQUIRED = 428, TOO_MANY_REQUESTS = 429,
    INTERNAL_ERROR = 500, INTERNAL_SERVER_ERROR = 500, NOT_IMPLEMENTED = 501, BAD_GATEWAY = 502,
    SERVICE_UNAVAILABLE = 503, GATEWAY_TIMEOUT = 504,
  },
  CONTENT = {
    JSON = "application/json", FORM = "application/x-www-form-urlencoded", MULTIPART = "multipart/form-data",
    TEXT = "text/plain; charset=utf-8", HTML = "text/html; charset=utf-8", XML = "application/xml",
    STREAM = "application/octet-stream", EVENTS = "text/event-stream", PROBLEM = "application/problem+json",
  },
  TRANSFER = { CHUNKED = "chunked", SSE = "sse" },
}

local function service(op, ...)
  local args, err = rt.pack("argument", op, ...)
  if not args then
    return nil, err
  end
  return rt.await(rt.command("call", '{"target":"@http","args":' .. args .. "}"))
end

-- The request ---------------------------------------------------------------------------------------

local new_request, request_of
local new_stream, stream_of

local function self_of(get, self, what, method)
  local state = get(self)
  if not state then
    error("expected a " .. what .. "; call it as " .. what .. ":" .. method .. "()", 3)
  end
  return state
end

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

-- A part of the head as a table. It comes as a list of names and values; a name that occurs several times
-- has a list of values.
local function part_of(state, part)
  local cached = "map of " .. part
  local map = state[cached]
  if not map then
    local flat = state[part]
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

local function header(state, name)
  return type(name) == "string" and part_of(state, "headers")[lower(name)] or nil
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
    local value, err = service("body")
    if err then
      return nil, err
    end
    state.body = value
  end
  return state.body, nil
end

local function form(state)
  if not state.form then
    local value, err = service("form")
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
  method = "method", path = "path", host = "host", remote_addr = "client", scheme = "scheme",
  request_id = "id", content_length = "length",
} do
  request_method(name, function(state)
    return state[field]
  end)
end

request_method("query", function(state, name)
  return first(part_of(state, "query")[name])
end)
request_method("query_params", function(state)
  return copy(part_of(state, "query"))
end)
request_method("header", header)
request_method("headers", function(state)
  return copy(part_of(state, "headers"))
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
  elseif not accept then
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
    state.stream = new_stream({ request = state })
  end
  return state.stream
end)

-- The fields of an urlencoded form: name -> text, or a list of texts for a name that occurs several times.
request_method("form", function(state)
  local parsed, err = form(state)
  if not parsed then
    return nil, err
  end
  local values = {}
  for name, list in next, parsed.values do
    values[name] = list[2] ~= nil and list or list[1]
  end
  return values, nil
end)

-- {values = {name = {text, ...}}, files = {name = {{name=, content_type=, size=, data=}, ...}}}
request_method("parse_multipart", form)

new_request, request_of = rt.class("request", requests)

new_stream, stream_of = rt.class("request.stream", {
  -- The next part of the body, of at most `size` bytes; nil at its end; nil, err.
  read = function(self, size)
    local stream = self_of(stream_of, self, "stream", "read")
    if size == nil then
      size = AUTO_FLUSH
    end
    if raw.math.type(size) ~= "integer" or size < 1 then
      return rt.fail("Invalid", "stream:read wants a number of bytes, an integer of 1 or more")
    end
    local request = stream.request
    if request.body ~= nil then -- it came with the head
      local from = stream.at or 1
      if from > #request.body then
        return nil, nil
      end
      stream.at = from + size
      return raw.string.sub(request.body, from, from + size - 1), nil
    end
    return service("read", size)
  end,
})

-- The response --------------------------------------------------------------------------------------

local new_response, response_of
local response, current, owner -- the object and state of this execution's response; START of that execution

local SERVERS = {
  ["content-length"] = true, ["transfer-encoding"] = true, connection = true, ["keep-alive"] = true,
  upgrade = true, te = true, trailer = true,
}

local function invalid(message)
  error(rt.error({ kind = "Invalid", message = message, retryable = false }), 0)
end

local function not_begun(state, what)
  if state.begun then
    invalid("the response has begun, so its " .. what .. " can no longer be changed")
  end
end

local function set_header(state, name, value)
  not_begun(state, "headers")
  if type(name) ~= "string" or not find(name, "^[%w!#$%%&'*+.^_`|~-]+$") then
    invalid("a header's name is a word such as Cache-Control, not " .. rt.env.tostring(name))
  end
  local key = lower(name)
  if SERVERS[key] then
    invalid("the header " .. name .. " is the server's own; it follows from what is written")
  end
  if type(value) == "number" then
    value = rt.env.tostring(value)
  end
  if type(value) ~= "string" or find(value, "[\0-\8\10-\31\127]") then
    invalid("the value of header " .. name .. " must be a text without line breaks or control characters")
  end
  state.headers[key] = value
end

-- Sends what is written so far: true; nil, err when the client has gone.
local function flush(state)
  local head
  if not state.begun then
    state.begun = true
    head = { status = state.status, headers = state.headers }
  end
  local data = concat(state.parts)
  state.parts, state.size = {}, 0
  local _, err = service("write", head or false, data)
  if err then
    return nil, err
  end
  return true
end

local function append(state, data)
  state.parts[#state.parts + 1] = data
  state.size = state.size + #data
end

local responses = {}

-- fn(state, ...) gives nothing, or nil, err. The method gives the response again, or nil, err.
local function response_method(name, fn)
  responses[name] = function(self, ...)
    local state = self_of(response_of, self, "response", name)
    local _, err = fn(state, ...)
    if err then
      return nil, err
    end
    return self
  end
end

local function set_status(state, status)
  not_begun(state, "status")
  local code = tointeger(status)
  if not code or code < 200 or code > 599 then
    invalid("a status is an integer from 200 to 599, not " .. rt.env.tostring(status))
  end
  state.status = code
end
response_method("status", set_status)
response_method("set_status", set_status)
response_method("set_header", set_header)

response_method("set_content_type", function(state, value)
  set_header(state, "Content-Type", value)
end)

local function write_json(state, value)
  local text, err = rt.library("json").encode(value)
  if not text then
    error(err, 0)
  end
  if not state.begun and not state.headers["content-type"] then
    state.headers["content-type"] = "application/json"
  end
  append(state, text)
end
response_method("json", write_json)
response_method("write_json", write_json)

response_method("write", function(state, data)
  if type(data) == "number" then
    data = rt.env.tostring(data)
  elseif type(data) ~= "string" then
    invalid("response:write wants a text, not a " .. env_type(data) .. "; json writes tables")
  end
  append(state, data)
  if state.size >= AUTO_FLUSH then
    return flush(state)
  end
end)

response_method("flush", flush)

local function events_of(state)
  if not state.begun then
    state.headers["content-type"] = "text/event-stream"
    state.headers["cache-control"] = state.headers["cache-control"] or "no-cache"
  end
end

response_method("set_transfer", function(state, transfer)
  if transfer == http.TRANSFER.SSE then
    not_begun(state, "transfer")
    events_of(state)
  elseif transfer ~= http.TRANSFER.CHUNKED then
    invalid("a transfer is http.TRANSFER.CHUNKED or http.TRANSFER.SSE, not " .. rt.env.tostring(transfer))
  end
end)

local function field(name, value)
  value = rt.env.tostring(value)
  if find(value, "[\r\n\0]") then
    invalid("the " .. name .. " of an event must be one line")
  end
  return name .. ": " .. value .. "\n"
end

-- One server-sent event, sent at once: {data=, event= (or name=), id=, retry= (ms)}; data may be a table.
response_method("write_event", function(state, event)
  if env_type(event) ~= "table" then
    event = { data = event }
  end
  events_of(state)
  local lines = {}
  local name = event.event or event.name
  if name ~= nil then
    lines[#lines + 1] = field("event", name)
  end
  if event.id ~= nil then
    lines[#lines + 1] = field("id", event.id)
  end
  if event.retry ~= nil then
    lines[#lines + 1] = field("retry", event.retry)
  end
  local data = event.data
  if data ~= nil then
    if type(data) ~= "string" then
      local text, err = rt.library("json").encode(data)
      if not text then
        error(err, 0)
      end
      data = text
    end
    data = gsub(gsub(data, "\r\n?", "\n"), "\n", "\ndata: ")
    lines[#lines + 1] = "data: " .. data .. "\n"
  end
  lines[#lines + 1] = "\n"
  append(state, concat(lines))
  return flush(state)
end)

new_response, response_of = rt.class("response", responses)

-- The module ----------------------------------------------------------------------------------------

local request

local function serves(what)
  local start = rt.start
  if not (start and start.info and start.info.http) then
    return rt.fail("Invalid", "http." .. what .. "() is for the function of an http.endpoint, while it serves a request")
  end
  if owner ~= start then
    owner, request, response, current = start, nil, nil, nil
  end
  return start.info.http
end

function http.request()
  local info, err = serves("request")
  if not info then
    return nil, err
  end
  if not request then
    request = new_request(info)
  end
  return request
end

function http.response()
  local info, err = serves("response")
  if not info then
    return nil, err
  end
  if not response then
    current = { status = 200, headers = {}, parts = {}, size = 0 }
    response = new_response(current)
  end
  return response
end

-- What main returned, or the response that it made: what has not been sent yet goes with the result.
function rt.conclude(result, err)
  if owner ~= rt.start or not current or (result == nil and err ~= nil) then
    return result, err
  end
  local rest = { ["$http"] = current.begun and "rest" or "whole", body = concat(current.parts) }
  if not current.begun then
    rest.status, rest.headers = current.status, current.headers
  end
  return rest, nil
end

return http
