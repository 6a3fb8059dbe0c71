-- The http_client module; the host's services of that name make the requests.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, next, tonumber, error = raw.type, raw.next, raw.tonumber, raw.error
local byte, char, find, format, gsub = raw.string.byte, raw.string.char, raw.string.find, raw.string.format, raw.string.gsub
local env_type = rt.env.type
rt.library("duration")

local SECOND, MILLISECOND = 1000000000, 1000000
local MOST = 7 * 24 * 3600 * SECOND
local PART = 64 * 1024 -- bytes that stream:read returns by default

local streams -- of this execution: how many there were

rt.each_program(function()
  streams = 0
end)

-- The options as the host functions expect them: a copy, with the timeout in milliseconds; or nil, why.
local function request_of(options)
  if options == nil then
    return {}
  elseif env_type(options) ~= "table" then
    return nil, "expects a table of options, not a " .. env_type(options)
  end
  local request = {}
  for key, value in next, options do
    request[key] = value
  end
  if options.timeout ~= nil then
    local ns, why = rt.duration.parse_ns(options.timeout, SECOND)
    if not ns then
      return nil, "timeout: " .. why .. "; a number is seconds"
    elseif ns <= 0 then
      return nil, "timeout must be more than 0; a number is seconds"
    elseif ns > MOST then -- time.SECOND, say, is nanoseconds
      return nil, "timeout must be at most 168h; a number is seconds"
    end
    request.timeout = ns / MILLISECOND
  end
  if request.stream ~= nil and type(request.stream) ~= "boolean" then
    return nil, "stream must be true or false"
  end
  return request
end

local function ask(service, ...)
  local args, err = rt.pack("argument", ...)
  if not args then
    return nil, err
  end
  return rt.perform("call", '{"target":"@' .. service .. '","args":' .. args .. "}")
end

local new_stream, stream_of

local function stream_state(self, method)
  local state = stream_of(self)
  if not state then
    error("expected a stream; call it as stream:" .. method .. "()", 3)
  end
  return state
end

new_stream, stream_of = rt.class("http_client.stream", {
  -- The next part of the response, of at most `size` bytes; nil at its end; nil, err.
  read = function(self, size)
    local state = stream_state(self, "read")
    if size == nil then
      size = PART
    elseif raw.math.type(size) ~= "integer" or size < 1 then
      return rt.fail("Invalid", "stream:read expects a number of bytes, an integer of 1 or more")
    end
    if state.closed then
      return rt.fail("Invalid", "the stream is closed")
    elseif state.ended then
      return nil, nil
    end
    local part, err = ask("http_stream", "read", state.number, size)
    if part == nil and not err then
      state.ended = true
      rt.rescind(state.hold, "call") -- its connection can be used again
    end
    return part, err
  end,

  -- Releases the response; closing again does nothing.
  close = function(self)
    local state = stream_state(self, "close")
    rt.rescind(state.hold, "call")
    state.closed = true
    return true
  end,
})

-- The response lives in a call of its own, "hold", so that it ends with this program at the latest.
local function open_stream(method, url, request)
  streams = streams + 1
  local number = streams
  local args, err = rt.pack("argument", "hold", number, method, url, request)
  if not args then
    return nil, err
  end
  local refused = rt.refusal()
  if refused then
    return nil, refused
  end
  local hold = rt.command("call", '{"target":"@http_stream","args":' .. args .. "}")
  local failure
  rt.on_done(hold, function(outcome)
    failure = outcome.err
  end)
  local response
  response, err = ask("http_stream", "head", number)
  if failure then
    return nil, rt.decode_error(failure)
  elseif err then
    rt.rescind(hold, "call")
    return nil, err
  end
  response.stream = new_stream({ number = number, hold = hold })
  return response, nil
end

-- The arguments of a request as they are sent; nil, why.
local function checked(name, method, url, options)
  if type(method) ~= "string" or method == "" then
    return nil, "http_client.request expects a method, such as GET, as its first argument"
  elseif type(url) ~= "string" or url == "" then
    return nil, "http_client." .. name .. " expects a URL, a non-empty string"
  end
  local request, why = request_of(options)
  if not request then
    return nil, "http_client." .. name .. ": " .. why
  end
  return request
end

local function send(name, method, url, options)
  local request, why = checked(name, method, url, options)
  if not request then
    return rt.fail("Invalid", why)
  elseif request.stream then
    return open_stream(method, url, request)
  end
  return ask("http_client", method, url, request)
end

local http_client = {
  request = function(method, url, options)
    return send("request", method, url, options)
  end,
}

local VERBS = { get = "GET", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE", head = "HEAD" }
for name, method in next, VERBS do
  http_client[name] = function(url, options)
    return send(name, method, url, options)
  end
end

local MAX_BATCH = 100
local MAX_URI = 1 << 20 -- bytes

-- Makes several requests at once, each {method, url, options?}: responses and errors, both by position; the
-- errors are nil if there are none. nil, err when the list itself cannot be used.
function http_client.request_batch(requests)
  if env_type(requests) ~= "table" or #requests == 0 or #requests > MAX_BATCH then
    return rt.fail("Invalid", "http_client.request_batch expects a list of 1 to " .. MAX_BATCH .. " requests")
  end
  local list = {}
  for i = 1, #requests do
    local each = requests[i]
    if env_type(each) ~= "table" then
      return rt.fail("Invalid", "request " .. i .. " of the batch must be a list of method, URL and options")
    end
    local request, why = checked("request_batch", each[1], each[2], each[3])
    if request and request.stream then
      request, why = nil, "responses of a batch cannot be streamed"
    end
    if not request then
      return rt.fail("Invalid", "request " .. i .. " of the batch: " .. why)
    end
    list[i] = { each[1], each[2], request }
  end
  local outcomes, err = ask("http_batch", raw.table.unpack(list))
  if not outcomes then
    return nil, err
  end
  local responses, errors = {}, nil
  for i = 1, #outcomes do
    if outcomes[i].err then
      errors = errors or {}
      errors[i] = rt.decode_error(outcomes[i].err)
    else
      responses[i] = outcomes[i].ok
    end
  end
  return responses, errors
end

local function escaped(c)
  return format("%%%02X", byte(c))
end

-- Why a text cannot be encoded or decoded; if it can, the work is charged.
local function refused(text, verb)
  if type(text) ~= "string" then
    return rt.fail("Invalid", "http_client." .. verb .. " expects a string, not a " .. env_type(text))
  elseif #text > MAX_URI then
    return rt.fail("Invalid", "http_client." .. verb .. " takes at most " .. MAX_URI .. " bytes, not " .. #text)
  end
  rt.charge(#text * 4)
end

-- A text as it is written in a query: blanks are +, and all but letters, digits and - _ . ~ is %XX.
function http_client.encode_uri(text)
  local _, err = refused(text, "encode_uri")
  if err then
    return nil, err
  end
  return (gsub(gsub(text, "[^%w%-_.~ ]", escaped), " ", "+"))
end

function http_client.decode_uri(text)
  local _, err = refused(text, "decode_uri")
  if err then
    return nil, err
  end
  local rest = gsub(text, "%%%x%x", "")
  if find(rest, "%", 1, true) then
    return rt.fail("Invalid", "http_client.decode_uri: a % must be followed by two hexadecimal digits")
  end
  local decoded = gsub(gsub(text, "+", " "), "%%(%x%x)", function(digits)
    return char(tonumber(digits, 16))
  end)
  return decoded, nil
end

return http_client
