-- The http_client module; the requests are made by the service of the same name.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, next = raw.type, raw.next
local env_type = rt.env.type
rt.library("duration")

local MILLISECOND = 1000000

-- The options as the service wants them: a copy, with the timeout in milliseconds; or nil, why.
local function request_of(options)
  if options == nil then
    return {}
  elseif env_type(options) ~= "table" then
    return nil, "wants a table of options, not a " .. env_type(options)
  end
  local request = {}
  for key, value in next, options do
    request[key] = value
  end
  if options.timeout ~= nil then
    local ns, why = rt.duration.parse_ns(options.timeout, MILLISECOND)
    if not ns then
      return nil, "timeout: " .. why
    elseif ns <= 0 then
      return nil, "timeout must be more than 0"
    end
    request.timeout = ns / MILLISECOND
  end
  return request
end

local function send(name, method, url, options)
  if type(method) ~= "string" or method == "" then
    return rt.fail("Invalid", "http_client.request wants a method, such as GET, as its first argument")
  elseif type(url) ~= "string" or url == "" then
    return rt.fail("Invalid", "http_client." .. name .. " wants a URL, a text that is not empty")
  end
  local request, why = request_of(options)
  if not request then
    return rt.fail("Invalid", "http_client." .. name .. ": " .. why)
  end
  local args, err = rt.pack("argument", method, url, request)
  if not args then
    return nil, err
  end
  return rt.await(rt.command("call", '{"target":"@http_client","args":' .. args .. "}"))
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

return http_client
