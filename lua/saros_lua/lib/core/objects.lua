-- Runtime objects (channels, errors, times...): tables that pass for sealed userdata, and the basic
-- functions that keep up the appearance: type, tostring, rawget, setmetatable...
--
-- An object holds its state under a key that only its class has. Functions that could show that key to
-- user code (next, pairs, rawget...) refuse objects.
local rt = ...
local raw, env = rt.raw, rt.env
local type, error, rawget, rawset, rawlen = raw.type, raw.error, raw.rawget, raw.rawset, raw.rawlen
local metatable, setmetatable, raw_tostring = raw.getmetatable, raw.setmetatable, raw.tostring
local find = raw.string.find

local classes = rt.keep({}) -- metatable -> class name
local keys = rt.keep({}) -- metatable -> the key of the state
local hidden = rt.keep({}) -- private keys
local ORDINAL = {}
hidden[ORDINAL] = true
rt.hidden_keys = hidden
local made -- objects, counted: the order of objects as keys

local gsub, byte, sub, format = raw.string.gsub, raw.string.byte, raw.string.sub, raw.string.format
local CUT = 200 -- characters of a value in a message, as in plain.py

local ESCAPES = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r" }
local function escape(char)
  return ESCAPES[char] or format("\\x%02x", byte(char))
end

-- A user's value as messages show it: on one line, without control characters, and cut.
function rt.shown(value)
  local text = env.tostring(value)
  local size = #text
  if size > CUT then
    text = gsub(sub(text, 1, CUT), "[\xC0-\xFF]?[\x80-\xBF]*$", "") -- not in the middle of a character
  end
  if find(text, "[%c\x80-\xFF]") then
    text = gsub(gsub(text, "\xC2([\x80-\x9F])", escape), "%c", escape)
    text = gsub(gsub(text, "\xE2\x80\xA8", "\\u2028"), "\xE2\x80\xA9", "\\u2029")
  end
  return size > CUT and text .. "... (" .. size .. " bytes)" or text
end

local function sealed(self, key)
  error("a " .. classes[metatable(self)] .. " cannot be changed (field '" .. rt.shown(key) .. "')", 2)
end

local function show(self)
  return "<" .. classes[metatable(self)] .. ">"
end

-- A class: new(state) -> object, get(object) -> state or nil. `meta` may add metamethods. An object whose time of
-- creation varies (it outlives programs, or a query may make it) gets a fixed place in the order: new(state, -1).
function rt.class(name, methods, meta)
  local key = {}
  local mt = meta or {}
  mt.__index = mt.__index or methods
  mt.__newindex = sealed
  mt.__metatable = false
  mt.__name = name -- Lua's own messages then speak of "a channel value"
  mt.__tostring = mt.__tostring or show
  classes[mt], keys[mt] = name, key
  hidden[key] = true
  return function(state, ordinal)
    if not ordinal then
      made = made + 1
      ordinal = made
    end
    return setmetatable({ [key] = state, [ORDINAL] = ordinal }, mt)
  end, function(object)
    if type(object) == "table" then
      return rawget(object, key)
    end
  end
end

-- The name of an object's class, and its state; nil for other values.
function rt.class_of(value)
  local mt = metatable(value)
  local name = classes[mt]
  if name then
    return name, rawget(value, keys[mt])
  end
end

-- The place of an object among all objects, in order of creation.
function rt.ordinal_of(object)
  return rawget(object, ORDINAL)
end

function env.type(value)
  local kind = type(value)
  if kind == "table" and classes[metatable(value)] then
    return "userdata"
  end
  return kind
end

-- A table, function or coroutine gets a number as its name when the name is first needed:
-- addresses differ from run to run.
local WEAK = { __mode = "k" }
local names, named

function rt.name_number(value)
  return names[value]
end

-- A side effect's own counters (see facts.lua), or those of a query.
function rt.new_effect()
  return { named = named }
end

rt.EFFECT = {} -- the value of rt.answering while the function of a side effect runs

-- A replay does not answer queries, so a query handler may do nothing that a replay would miss.
function rt.refuse_query()
  if rt.answering == rt.EFFECT then
    raw.error("a side effect only computes a value: it may not call, send, sleep or start anything", 0)
  end
  raw.error("a query handler only reads: it may not call, sleep, send, draw random numbers or change anything", 0)
end

local since -- the ordinal of the youngest object that is older than the query or side effect

-- From now on (for `answering`, the id of a query or rt.EFFECT) the program may not be changed.
function rt.only_read(answering, names)
  rt.answering, rt.naming, since = answering, names, made
end

function rt.read_only_no_more()
  rt.answering, rt.naming = nil, nil
end

-- Whatever changes what the program does next calls this first. A query and a side effect may change only an
-- `object` that they made themselves.
function rt.changing(object)
  if rt.answering and not (object and rt.ordinal_of(object) > since) then
    rt.refuse_query()
  end
end

function env.tostring(value)
  local kind = type(value)
  if kind == "string" then
    return value
  elseif kind == "number" then
    return value == value and raw_tostring(value) or "nan" -- x86 says "-nan", ARM "nan"
  elseif kind == "nil" or kind == "boolean" then
    return raw_tostring(value)
  end
  local mt = metatable(value)
  if mt then
    local method = rawget(mt, "__tostring")
    if method ~= nil then
      local text = method(value)
      if type(text) ~= "string" then
        if type(text) == "number" then
          return env.tostring(text)
        end
        error("'__tostring' must return a string", 2)
      end
      return text
    end
    local name = rawget(mt, "__name")
    kind = type(name) == "string" and name or kind
  end
  local number = names[value]
  local effect = not number and rt.naming
  if effect then -- a replay runs neither side effects nor queries: names given there are lost
    number = effect[value] or effect.named + 1
    effect[value], effect.named = number, raw.math.max(number, effect.named)
  elseif not number then
    named = named + 1
    number = named
    names[value] = number
  end
  return kind .. ": #" .. number
end

local function want_table(value, name)
  if type(value) ~= "table" or classes[metatable(value)] then
    error("bad argument #1 to '" .. name .. "' (table expected, got " .. env.type(value) .. ")", 3)
  end
end

-- Lua follows chains of callable tables in C, where nothing could stop it.
local function want_callable(value, level)
  if type(value) ~= "function" then
    error("__call must be a function, not a " .. env.type(value), level)
  end
end

function env.rawget(t, key)
  want_table(t, "rawget")
  return rawget(t, key)
end

function env.rawset(t, key, value)
  want_table(t, "rawset")
  if key == "__call" or key == "__mode" then
    rt.before_store(t, key, value)
  elseif key == nil or key ~= key then
    error("index is " .. (key == nil and "nil" or "NaN"), 2)
  end
  return rawset(t, key, value)
end

function env.rawlen(value)
  if type(value) == "string" then
    return #value
  elseif type(value) ~= "table" or classes[metatable(value)] then
    error("table or string expected", 2)
  end
  return rawlen(value)
end

local approved -- metatables that have been checked

rt.each_program(function()
  made, named = 0, 0
  names, approved = setmetatable({}, WEAK), setmetatable({}, WEAK)
end)

local NO_WEAK = "weak tables (__mode) are not available in workflow code: what they hold would differ in a replay"

-- The collector follows weak keys again and again, in C, until it finds no more. So they are treated as
-- strong, which only a long-running program can notice.
local function approve_mode(mode, level)
  if rt.workflow then
    error(NO_WEAK, level)
  end
  return type(mode) ~= "string" or not find(mode, "k", 1, true) or find(mode, "v", 1, true)
end

local function approve(mt)
  if type(mt) ~= "table" or classes[metatable(mt)] then
    error("bad argument #2 to 'setmetatable' (nil or table expected)", 3)
  end
  local mode, call = rawget(mt, "__mode"), rawget(mt, "__call")
  if mode ~= nil and not approve_mode(mode, 4) then
    rawset(mt, "__mode", nil)
  end
  if call ~= nil then
    want_callable(call, 4)
  end
  approved[mt] = true
end

-- The table in which Lua stores what is assigned to t[key]: it follows __newindex from table to table. nil where a
-- function takes the assignment.
function rt.target(t, key)
  for _ = 1, 2000 do -- Lua itself gives up after that many
    local mt = metatable(t)
    local handler = mt and rawget(mt, "__newindex")
    if handler == nil or type(t) == "table" and rawget(t, key) ~= nil then
      return t
    elseif type(handler) == "function" then
      return nil
    end
    t = handler
  end
end

-- Before __call or __mode is stored in a table: a table that is already a metatable must keep the rules.
function rt.before_store(t, key, value)
  if t == nil or value == nil or not approved[t] then
    return
  elseif key == "__call" then
    want_callable(value, 4)
  elseif not approve_mode(value, 4) then
    error("__mode = 'k' must be set before the table is used as a metatable", 3)
  end
end

function env.setmetatable(t, mt)
  want_table(t, "setmetatable")
  if mt ~= nil then
    if not approved[mt] then
      approve(mt)
    end
    if rawget(mt, "__gc") ~= nil then
      error("__gc is not available: use a <close> variable to clean up", 2)
    end
  end
  local old = metatable(t)
  if old and rawget(old, "__metatable") ~= nil then
    error("cannot change a protected metatable", 2)
  end
  return setmetatable(t, mt)
end

env.getmetatable = getmetatable -- Lua's own: it respects __metatable, unlike raw.getmetatable
