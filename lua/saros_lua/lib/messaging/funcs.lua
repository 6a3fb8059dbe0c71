-- The funcs module: function calls and futures (lua-surface §7).
local rt = ...
local raw = rt.raw
local type, next = raw.type, raw.next
local find = raw.string.find
local encode = rt.encode
local env_type = rt.env.type

local EMPTY = {}
local base = { options = EMPTY }
local MAX_NAME = 1000 -- bytes
local taken = {} -- activity ids of a workflow's calls; the id of a cancelled call is never free again

-- Starts the call; returns its command ref, or nil, err.
local function start(state, id, ...)
  if type(id) == "string" and #id > MAX_NAME then
    return rt.fail("Invalid", "a function id has at most " .. MAX_NAME .. " bytes, not " .. #id)
  elseif not rt.is_text(id) or not find(id, "^[^:]+:[^:]+$") then
    local got = type(id) == "string" and '"' .. rt.shown(rt.text(id)) .. '"' or "a " .. env_type(id)
    return rt.fail("Invalid", "a function id is namespace:name, not " .. got)
  end
  local own = rt.workflow and state.options.id
  if own and taken[own] then
    local which = "the activity.id " .. rt.shown(own) .. " belongs to another call"
    return rt.fail("Invalid", which .. ", which is under way or was cancelled; an id names one call at a time")
  end
  local args, err = rt.pack("argument", ...)
  if not args then
    return nil, err
  end
  local body = '{"target":' .. encode(id, "id") .. ',"args":' .. args
  local context = rt.context_json(state.context)
  if context ~= "{}" then
    body = body .. ',"context":' .. context
  end
  if next(state.options) ~= nil then
    body = body .. ',"options":' .. encode(state.options, "options")
  end
  local refused = rt.refusal()
  if refused then
    return nil, refused, true
  end
  if own and own ~= "" then
    rt.changing()
    taken[own] = true
  end
  return rt.command("call", body .. "}")
end

-- A call has ended by itself.
local function ended(state)
  if state.options.id then
    taken[state.options.id] = nil
  end
end

local function call(state, id, ...)
  local ref, err = start(state, id, ...)
  if not ref then
    return nil, err
  end
  return rt.await(ref, "call", state.options.wait_for_cancellation, function()
    ended(state)
  end)
end

-- Futures ------------------------------------------------------------------------------------------

local new_future, future_of

local function settle(state, value, err)
  if state.complete then
    return
  end
  state.complete, state.error = true, err
  state.payload = err == nil and rt.payload_new(value) or nil
  rt.channel_offer(state.channel, err or state.payload)
end

local function channel(self)
  return future_of(self).channel
end

new_future, future_of = rt.class("future", {
  channel = channel,
  response = channel,
  is_complete = function(self)
    return future_of(self).complete == true
  end,
  is_canceled = function(self)
    return future_of(self).canceled == true
  end,
  result = function(self)
    local state = future_of(self)
    return state.payload, state.error
  end,
  error = function(self)
    local err = future_of(self).error
    return err, err ~= nil
  end,
  cancel = function(self)
    local state = future_of(self)
    if state.complete then
      return false
    end
    rt.changing()
    rt.rescind(state.ref, "call")
    rt.forget(state.ref)
    state.canceled = true
    settle(state, nil, rt.canceled_error())
    return true
  end,
})

local function async(state, id, ...)
  local ref, err, canceled = start(state, id, ...)
  if not ref and not canceled then
    return nil, err
  end
  rt.library("channel")
  rt.library("payload")
  local future = { ref = ref, channel = rt.channel_new(1) }
  if canceled then
    future.canceled = true
    settle(future, nil, err)
    return new_future(future)
  end
  rt.on_done(ref, function(outcome)
    ended(state)
    settle(future, rt.unwrap(outcome))
  end)
  return new_future(future)
end

-- Executors ----------------------------------------------------------------------------------------

local new_executor, executor_of

local function with(state, field, value)
  local copy = {}
  for key, old in next, state do
    copy[key] = old
  end
  copy[field] = value
  return new_executor(copy)
end

new_executor, executor_of = rt.class("executor", {
  with_context = function(self, values)
    if env_type(values) ~= "table" then
      return rt.fail("Invalid", "with_context expects a table, not a " .. env_type(values))
    end
    local ok, json = raw.pcall(encode, values, "context")
    if not ok then
      return rt.fail("Invalid", json)
    end
    local state = executor_of(self)
    local merged = rt.library("options").merge(state.context or EMPTY, rt.decode(json))
    return with(state, "context", merged)
  end,
  with_options = function(self, given)
    if env_type(given) ~= "table" then
      return rt.fail("Invalid", "with_options expects a table, not a " .. env_type(given))
    end
    local options = rt.library("options")
    local wire, why = options.activity(given)
    if not wire then
      return rt.fail("Invalid", why)
    end
    local state = executor_of(self)
    return with(state, "options", options.merge(state.options, wire))
  end,
  call = function(self, ...)
    return call(executor_of(self), ...)
  end,
  async = function(self, ...)
    return async(executor_of(self), ...)
  end,
})

return {
  call = function(...)
    return call(base, ...)
  end,
  async = function(...)
    return async(base, ...)
  end,
  new = function()
    return new_executor(base)
  end,
}
