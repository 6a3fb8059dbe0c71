-- The response of a handler, as an object: http.response() of the http module.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, error = raw.type, raw.error
local find, gsub, lower = raw.string.find, raw.string.gsub, raw.string.lower
local concat, tointeger = raw.table.concat, raw.math.tointeger
local ask, self_of = rt.http.ask, rt.http.self_of
local env_type = rt.env.type

local AUTO_FLUSH = 64 * 1024 -- bytes that are written before they are sent, so that a stream needs little memory

local new_response, response_of

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

local function header_name(name)
  if type(name) ~= "string" or not find(name, "^[%w!#$%%&'*+.^_`|~-]+$") then
    invalid("a header's name is a word such as Cache-Control, not " .. rt.env.tostring(name))
  end
  local key = lower(name)
  if SERVERS[key] then
    invalid("the header " .. name .. " is the server's own; it follows from what is written")
  end
  return key
end

local function header_value(name, value)
  if type(value) == "number" then
    value = rt.env.tostring(value)
  end
  if type(value) ~= "string" or find(value, "[\0-\8\10-\31\127]") then
    invalid("the value of header " .. name .. " must be a string without line breaks or control characters")
  elseif find(value, "^[ \t]") or find(value, "[ \t]$") then
    invalid("the value of header " .. name .. " must not begin or end with a blank")
  end
  return value
end

-- A list of values gives a header for each of them.
local function set_header(state, name, value)
  not_begun(state, "headers")
  local key = header_name(name)
  if env_type(value) ~= "table" then
    state.headers[key] = header_value(name, value)
    return
  end
  local list = {}
  for i = 1, #value do
    list[i] = header_value(name, value[i])
  end
  state.headers[key] = list[1] ~= nil and list or nil
end

local function add_header(state, name, value)
  not_begun(state, "headers")
  local key = header_name(name)
  value = header_value(name, value)
  local known = state.headers[key]
  if known == nil then
    state.headers[key] = value
  elseif type(known) == "table" then
    known[#known + 1] = value
  else
    state.headers[key] = { known, value }
  end
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
  local _, err = ask("write", head or false, data)
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
response_method("add_header", add_header)

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
    invalid("response:write expects a string, not a " .. env_type(data) .. "; json writes tables")
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
  if transfer == "sse" then
    not_begun(state, "transfer")
    events_of(state)
  elseif transfer ~= "chunked" then
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

-- What main's result is to be: all of the response that has not been sent.
local function rest_of(state)
  local rest = { body = concat(state.parts) }
  if not state.begun then
    rest.status, rest.headers = state.status, state.headers
  end
  return rest
end

return { new = new_response, rest_of = rest_of }
