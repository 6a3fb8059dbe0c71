-- Immutable spawners: process.spawn*, process.exec, workflow.call and their with_* methods.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, next = raw.type, raw.next
local encode = rt.encode
local options = rt.library("options")
local env_type = rt.env.type

local EMPTY = {}
local FORMS = {
  spawn = "",
  spawn_monitored = ',"monitor":true',
  spawn_linked = ',"link":true',
  spawn_linked_monitored = ',"monitor":true,"link":true',
  exec = ',"exec":true',
}

local new, get
local base = { options = EMPTY, messages = EMPTY }

-- The common part of every form: {"entry":...,"host":... as JSON; or nil, err.
local function body_of(state, form, entry, host, ...)
  if not rt.is_text(entry) then
    return rt.fail("Invalid", "process." .. form .. " expects an entry id as its first argument")
  elseif not rt.is_text(host) then
    return rt.fail("Invalid", "process." .. form .. " expects a worker or a process host as its second argument")
  end
  if state.options.error then
    return rt.fail("Invalid", state.options.error)
  end
  local args, err = rt.pack("argument", ...)
  if not args then
    return nil, err
  end
  local monitor = FORMS[form]
  if rt.workflow and form == "spawn" then
    monitor = ',"monitor":true' -- a workflow gets the end of every child
  end
  local parts = { '{"entry":', encode(entry, "entry"), ',"host":', encode(host, "host"), ',"args":', args, monitor }
  local context = rt.context_json(state.context)
  if context ~= "{}" then
    parts[#parts + 1] = ',"context":' .. context
  end
  if state.name then
    parts[#parts + 1] = ',"name":' .. encode(state.name, "name")
  end
  if next(state.options) ~= nil then
    local ok, json = raw.pcall(encode, state.options, "options")
    if not ok then
      return rt.fail("Invalid", json)
    end
    parts[#parts + 1] = ',"options":' .. json
  end
  if #state.messages > 0 then
    parts[#parts + 1] = ',"messages":[' .. raw.table.concat(state.messages, ",") .. "]"
  end
  parts[#parts + 1] = "}"
  return raw.table.concat(parts)
end

local function start(state, form, ...)
  if rt.workflow and (form == "spawn_linked" or form == "spawn_linked_monitored") then
    return rt.fail("Invalid", "links are not supported in workflow context; use process.spawn_monitored")
  end
  local body, err = body_of(state, form, ...)
  if not body then
    return nil, err
  end
  local value, failure = rt.perform("spawn", body, state.options.wait_for_cancellation)
  if failure == nil and form ~= "exec" and (rt.workflow or form ~= "spawn" and form ~= "spawn_linked") then
    rt.expect_exit(value)
  end
  return value, failure
end

local function with(state, field, value)
  local copy = options.merge(state, EMPTY)
  copy[field] = value
  return new(copy)
end

local function with_options(state, given)
  if env_type(given) ~= "table" then
    return rt.fail("Invalid", "with_options expects a table, not a " .. env_type(given))
  end
  local wire, why = options.workflow(given)
  if not wire then
    return rt.fail("Invalid", why)
  end
  return with(state, "options", options.merge(state.options, wire))
end

local function with_context(state, values)
  if env_type(values) ~= "table" then
    return rt.fail("Invalid", "with_context expects a table, not a " .. env_type(values))
  end
  local ok, json = raw.pcall(encode, values, "context")
  if not ok then
    return rt.fail("Invalid", json)
  end
  return with(state, "context", options.merge(state.context or EMPTY, rt.decode(json)))
end

local methods = {
  with_options = function(self, given)
    return with_options(get(self), given)
  end,
  with_context = function(self, values)
    return with_context(get(self), values)
  end,
  with_name = function(self, name)
    if not rt.is_name(name) then
      return rt.fail("Invalid", "with_name expects a name of at most " .. rt.MAX_NAME .. " bytes")
    end
    return with(get(self), "name", name)
  end,
  with_message = function(self, topic, ...)
    if not rt.is_text(topic) or raw.string.sub(topic, 1, 1) == "@" then
      return rt.fail("Invalid", "with_message expects a topic that does not start with @")
    end
    local payloads, err = rt.pack("payload", ...)
    if not payloads then
      return nil, err
    end
    local size = rt.oversize(#payloads + #topic)
    if size then
      return rt.fail("Invalid", "the message has " .. size)
    end
    local state = get(self)
    local messages = {}
    for i = 1, #state.messages do
      messages[i] = state.messages[i]
    end
    messages[#messages + 1] = '{"topic":'
      .. encode(topic, "topic")
      .. ',"sender":'
      .. encode(rt.pid, "pid")
      .. ',"payloads":'
      .. payloads
      .. "}"
    return with(state, "messages", messages)
  end,
}

local plain = {}
for form in next, FORMS do
  methods[form] = function(self, ...)
    return start(get(self), form, ...)
  end
  plain[form] = function(...)
    return start(base, form, ...)
  end
end

new, get = rt.class("spawner", methods)

return {
  plain = plain,
  -- For workflow.call: a child on the worker that its entry names.
  exec = function(entry, ...)
    return start(base, "exec", entry, "@", ...)
  end,
  with_options = function(given)
    return with_options(base, given)
  end,
  with_context = function(values)
    return with_context(base, values)
  end,
}
