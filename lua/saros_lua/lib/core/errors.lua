-- Structured errors: made by the runtime and by errors.new, carried through pcall and across calls.
local rt = ...
local raw = rt.raw
local type, select, tostring = raw.type, raw.select, raw.tostring
local find = raw.string.find

local new, get

local function text_of(state)
  if state.context then
    return rt.joined(state.context .. ": " .. state.message)
  end
  return state.message
end

local function self_of(self, method)
  local state = get(self)
  if not state then
    raw.error("expected an error; call it as err:" .. method .. "()", 3)
  end
  return state
end

local methods = {
  message = function(self)
    return self_of(self, "message").message
  end,
  kind = function(self)
    return self_of(self, "kind").kind
  end,
  retryable = function(self)
    return self_of(self, "retryable").retryable
  end,
  details = function(self)
    local details = self_of(self, "details").details
    if details ~= nil then
      return rt.decode(rt.encode(details, "details")) -- a copy: the error itself cannot be changed
    end
  end,
  stack = function(self)
    return self_of(self, "stack").stack or "(no Lua frames)"
  end,
}

local function concat(a, b)
  local left, right = get(a), get(b)
  return rt.joined((left and text_of(left) or rt.env.tostring(a)) .. (right and text_of(right) or rt.env.tostring(b)))
end

new, get = rt.class("error", methods, {
  __tostring = function(self)
    return text_of(get(self))
  end,
  __concat = concat,
})

rt.error_state = get

-- An error object from its fields; the table becomes the object's own.
local function make(state)
  state.kind = state.kind or ""
  if not state.stack then
    state.stack = rt.error_stack()
  end
  return new(state)
end
rt.error = make

-- The results of a surface function after a caller's mistake, which no retry can correct.
function rt.fail(kind, message)
  return nil, make({ kind = kind, message = message, retryable = false })
end

-- The error object of a raised value: a structured error as it is, anything else as kind Internal.
function rt.as_error(raised, stack)
  if get(raised) then
    return raised
  end
  local message
  if type(raised) == "string" then
    message = raised
  elseif type(raised) == "table" and type(raised.message) == "string" then
    message = raised.message
  else
    message = rt.env.tostring(raised)
  end
  return make({ kind = "Internal", message = message, retryable = false, stack = stack })
end

-- The wire form (ErrorData) of an error object, as JSON.
function rt.encode_error(err)
  return rt.encode((rt.wire.error(get(err))), "error")
end

function rt.decode_error(wire)
  local details = wire.details
  if type(details) == "table" and raw.next(details) == nil then
    details = nil
  end
  return new({
    message = wire.message or "",
    kind = wire.kind or "",
    retryable = wire.retryable,
    details = details,
    stack = wire.stack,
    context = wire.context,
  })
end

local errors = {
  NOT_FOUND = "NotFound",
  ALREADY_EXISTS = "AlreadyExists",
  INVALID = "Invalid",
  PERMISSION_DENIED = "PermissionDenied",
  UNAVAILABLE = "Unavailable",
  INTERNAL = "Internal",
  CANCELED = "Canceled",
  CONFLICT = "Conflict",
  TIMEOUT = "Timeout",
  RATE_LIMITED = "RateLimited",
  UNKNOWN = "",
}

local function checked(name, value, wanted, level)
  if value ~= nil and type(value) ~= wanted then
    raw.error("errors.new: " .. name .. " must be a " .. wanted .. ", not a " .. rt.env.type(value), level + 1)
  end
  return value
end

function errors.new(a, b)
  if type(a) == "string" then
    if b == nil then
      return make({ message = a })
    end
    return make({ kind = a, message = checked("message", b, "string", 2) })
  end
  if rt.env.type(a) ~= "table" then
    raw.error("errors.new expects a string or a table, not a " .. rt.env.type(a), 2)
  end
  local details = checked("details", a.details, "table", 2)
  if details ~= nil then
    if raw.next(details) == nil then
      details = nil
    else
      local ok, json = raw.pcall(rt.encode, details, "details")
      if not ok then
        raw.error("errors.new: " .. json, 2)
      end
      details = rt.decode(json) -- a copy that later changes cannot reach
    end
  end
  return make({
    message = checked("message", a.message, "string", 2) or "",
    kind = checked("kind", a.kind, "string", 2),
    retryable = checked("retryable", a.retryable, "boolean", 2),
    details = details,
  })
end

function errors.wrap(err, context)
  if type(context) ~= "string" then
    raw.error("errors.wrap expects a context string as its second argument", 2)
  end
  local state = get(err)
  if not state then
    if type(err) ~= "string" then
      raw.error("errors.wrap expects an error or a string, not a " .. rt.env.type(err), 2)
    end
    return make({ message = err, context = context })
  end
  return new({
    message = state.message,
    kind = state.kind,
    retryable = state.retryable,
    details = state.details,
    stack = state.stack,
    context = state.context and rt.joined(context .. ": " .. state.context) or context,
  })
end

function errors.is(value, kind)
  local state = get(value)
  return state ~= nil and state.kind == kind
end

-- Frames are read from the stack text, whose lines are "source:line: in name".
function errors.call_stack(err)
  local state = get(err)
  if not state then
    return rt.fail("Invalid", "errors.call_stack expects an error, not a " .. rt.env.type(err))
  end
  local frames = {}
  for source, line, name in raw.string.gmatch(state.stack or "", "([^\n:]+):(%d+):? ?i?n? ?([^\n]*)") do
    frames[#frames + 1] = {
      source = raw.string.match(source, "^%s*(.*)$"),
      line = raw.math.tointeger(raw.tonumber(line)),
      name = name,
    }
  end
  return { thread = "main", frames = frames }
end

return errors
