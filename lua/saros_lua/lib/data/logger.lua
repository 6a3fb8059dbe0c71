-- The logger module: structured records. The host writes them, and drops them during a replay.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, next = raw.type, raw.next
local env_type = rt.env.type

local LEVELS = { "debug", "info", "warn", "error" }
local NAME = "logger" -- the field that holds a logger's name
local ROOT = {}

local logger = {} -- the module is the nameless logger without fields
local new, get

local function fields_of(self, method)
  local fields = self == rt.library("logger") and ROOT or get(self)
  if not fields then
    raw.error("expected a logger; call it as logger:" .. method .. "(...)", 3)
  end
  return fields
end

-- A copy of `base` with `added` on top.
local function merged(base, added)
  local all = {}
  for key, value in next, base do
    all[key] = value
  end
  for key, value in next, added do
    all[key] = value
  end
  return all
end

-- The JSON object of some fields; raises at the caller of the method that calls this function.
local function to_json(fields, method)
  if next(fields) == nil then
    return "{}"
  end
  local ok, json = raw.pcall(rt.encode, fields, "fields")
  if not ok then
    raw.error("logger:" .. method .. ": " .. rt.env.tostring(json), 3)
  elseif raw.string.byte(json) ~= 123 then -- "{"
    raw.error("logger:" .. method .. ": fields have names; this is a list", 3)
  end
  return json
end

for i = 1, #LEVELS do
  local level = LEVELS[i]
  logger[level] = function(self, message, fields)
    local own = fields_of(self, level)
    if type(message) ~= "string" then
      raw.error("logger:" .. level .. " expects a string, not a " .. env_type(message) .. "; use tostring", 2)
    elseif fields == nil then
      fields = own
    elseif env_type(fields) ~= "table" then
      raw.error("logger:" .. level .. " expects a table of fields, not a " .. env_type(fields), 2)
    elseif next(own) ~= nil then
      fields = merged(own, fields)
    end
    local ok, _, why = rt.host("log", level, message, to_json(fields, level))
    if not ok then
      raw.error(why, 2)
    end
  end
end

logger["with"] = function(self, fields)
  local own = fields_of(self, "with")
  if env_type(fields) ~= "table" then
    raw.error("logger:with expects a table of fields, not a " .. env_type(fields), 2)
  end
  return new(merged(own, rt.decode(to_json(fields, "with"))))
end

function logger.named(self, name)
  local own = fields_of(self, "named")
  if type(name) ~= "string" or name == "" then
    return rt.fail("Invalid", "logger:named expects a name, a non-empty string")
  end
  local outer = own[NAME]
  if type(outer) == "string" then
    name = outer .. "." .. name
  end
  return new(merged(own, { [NAME] = name })), nil
end

local methods = {}
for name, method in next, logger do
  methods[name] = method
end
new, get = rt.class("logger", methods)

return logger
