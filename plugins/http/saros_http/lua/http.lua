-- The http module: the request that a function serves, and its response (lua-surface §11).
--
-- The request's head, and a small body, came with START. All else goes through the service "@http", which
-- knows the request by the pid of whoever calls. A response that was not flushed is sent when the function
-- has returned: see rt.conclude at the end.
local rt = ...
rt.lasting()
local raw = rt.raw

local http = {}
rt.http = {} -- what the module's parts share

function rt.http.ask(op, ...)
  local args, err = rt.pack("argument", op, ...)
  if not args then
    return nil, err
  end
  return rt.perform("call", '{"target":"@http","args":' .. args .. "}")
end

function rt.http.self_of(get, self, what, method)
  local state = get(self)
  if not state then
    raw.error("expected a " .. what .. "; call it as " .. what .. ":" .. method .. "()", 3)
  end
  return state
end

raw.setmetatable(http, {
  __index = function(self, name)
    local make = rt.library("http_constants")[name]
    if make then
      local value = make()
      raw.rawset(self, name, value)
      return value
    end
  end,
  __metatable = false,
})

local request -- this execution's
local response, current -- and its response, and the state of that

rt.each_program(function()
  request, response, current = nil, nil, nil
end)

local function serves(what)
  local start = rt.start
  if not (start and start.info and start.info.http) then
    return rt.fail("Invalid", "http." .. what .. "() is for the function of an http.endpoint, while it serves a request")
  end
  return start.info.http
end

function http.request()
  local info, err = serves("request")
  if not info then
    return nil, err
  end
  if not request then
    request = rt.library("http_request")(info)
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
    response = rt.library("http_response").new(current)
  end
  return response
end

-- What main returned, or the response that it made: what has not been sent yet goes as the result. That it is a
-- response is told beside it: a result, which may be a client's JSON, cannot say so itself.
function rt.conclude(result, err)
  if not current or (result == nil and err ~= nil) then
    return result, err
  end
  local ok, _, why = rt.host("http_responds", rt.pid)
  if not ok then
    raw.error(why, 0)
  end
  return rt.library("http_response").rest_of(current), nil
end

return http
