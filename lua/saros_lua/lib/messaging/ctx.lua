-- The ctx module: the context values that flow with calls and spawns (lua-surface §10).
local rt = ...
rt.lasting()
local raw = rt.raw
local type = raw.type
local env_type = rt.env.type

-- User code gets a copy: its changes must not reach the values that flow on from here.
local function copy(value)
  if env_type(value) == "table" then
    return rt.decode(rt.encode(value, "context"))
  end
  return value
end

local ctx = {}

function ctx.get(key)
  if type(key) ~= "string" or key == "" then
    local got = key == "" and "an empty text" or "a " .. env_type(key)
    return rt.fail("Invalid", "ctx.get expects a key, a non-empty string, not " .. got)
  end
  local value = rt.context[key]
  if value == nil then
    return rt.fail("NotFound", "the context has no value " .. rt.shown(key))
  end
  return copy(value), nil
end

function ctx.all()
  return copy(rt.context)
end

return ctx
