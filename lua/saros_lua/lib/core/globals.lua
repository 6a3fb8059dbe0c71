-- The other globals of user code: print, require, and helpful errors for missing names.
local rt = ...
local raw, env = rt.raw, rt.env
local error, select = raw.error, raw.select
local setmetatable, rawget, rawset = raw.setmetatable, raw.rawget, raw.rawset
local type, tonumber, math_type = raw.type, raw.tonumber, raw.math.type
local lazy = rt.lazy

env._VERSION = "Lua 5.4"
env.error = rt.user_error

local function failed(...)
  local n = select("#", ...)
  if n == 0 then
    error("bad argument #1 to 'assert' (value expected)")
  elseif n == 1 then
    error("assertion failed!", 0)
  end
  error(select(2, ...), 0)
end

function env.assert(...)
  if (...) then
    return ...
  end
  failed(...)
end

function env.ipairs(list)
  if type(list) ~= "table" then
    local meta = raw.getmetatable(list)
    if not (meta and rawget(meta, "__index")) then
      error("bad argument #1 to 'ipairs' (table expected, got " .. (list == nil and "nil" or env.type(list)) .. ")")
    end
  end
  return raw.ipairs(list)
end

function env.rawequal(...)
  return rt.finish(raw.pcall(raw.rawequal, ...))
end

function env.select(n, ...)
  if n == "#" or math_type(n) == "integer" and n > 0 then
    return select(n, ...)
  end
  return rt.finish(raw.pcall(select, n, ...))
end

-- Without a base, this converts a string like arithmetic does; see `weigh` in bounds.lua.
function env.tonumber(value, base)
  if base == nil then
    return tonumber(value)
  elseif type(value) == "string" and #value > 200 then
    rt.charge(#value)
  end
  return rt.finish(raw.pcall(tonumber, value, base))
end

function env.print(...)
  local n = select("#", ...)
  if n == 1 then
    return rt.print(env.tostring((...)))
  end
  local parts = { ... }
  for i = 1, n do
    parts[i] = env.tostring(parts[i])
  end
  rt.print(rt.joined(raw.table.concat(parts, "\t")))
end

-- Both are replaced by the program (program.lua, require.lua).
function rt.print() end
function rt.now()
  return 0
end

function env.require(name)
  return rt.require(name)
end
local function no_require(name)
  error("require('" .. rt.shown(name) .. "') is not possible here", 2)
end

-- Lua's own generator is seeded by the run and used by user code only: see rt.random_bytes.
local randomseed = raw.math.randomseed
local seed_a, seed_b

function rt.seed(a, b)
  seed_a, seed_b = a, b
  randomseed(a, b)
end

function rt.seeds()
  return seed_a, seed_b
end

rt.each_program(function()
  seed_a, seed_b = 0, 0
  if rt.workflow then
    randomseed(0, 0)
  end
end)

-- Missing names --------------------------------------------------------------------------------

local ACTIVITY = "do it in an activity (a function.python or function.lua entry) and call that with funcs.call"
local CODE = "code comes from entries: put shared code into a library.lua entry and require it"
local MODULES = "list what you need under modules: or imports: of the entry, and require it"
rt.ACTIVITY = ACTIVITY

local instead = {
  io = ACTIVITY,
  debug = "err:stack() returns the stack of an error, and print goes to the log",
  load = CODE, loadstring = CODE, loadfile = CODE, dofile = CODE,
  package = MODULES,
  collectgarbage = "the runtime looks after memory",
}

-- An unassigned global: an import of the source, a module of the surface, or a module that the source lists; an
-- error for names known to be missing. Listed modules are not stored in the globals, which other
-- sources of the program share: each source sees only its own list.
local function unassigned(source, require, name)
  if source.imports[name] then
    return require(name)
  end
  local make = lazy[name]
  if make then
    local value = make(name)
    if not rt.answering then -- `pairs` shows the names in use, and a replay does not answer queries
      rawset(rt.env, name, value)
    end
    return value
  end
  if source.modules[name] then
    return require(name)
  end
  local hint = instead[name]
  if hint then
    error(name .. " is not available: " .. hint, 2) -- the code that tail-called this
  end
end

local GLOBALS = {
  __index = function(_, name)
    return unassigned(rt.own, rt.require, name)
  end,
  __metatable = false,
}

-- The environment of a program: a copy, because user code may change it.
local NOTHING = { modules = {}, imports = {} }
rt.each_program(function()
  rt.own, rt.require = NOTHING, no_require
  local own = rt.copy(env)
  own._G, own.coroutine = own, rt.copy(env.coroutine)
  rt.env = setmetatable(own, GLOBALS)
end)

-- Each is loaded on first use, from the library chunk of its name.
for _, name in raw.ipairs({ "errors", "channel", "payload", "process", "math", "os", "utf8" }) do
  lazy[name] = function()
    return rt.library(name)
  end
end

local string_meta = raw.getmetatable("")
string_meta.__metatable = false

-- `string` and `table` are large, and not every program uses them. Strings have the methods of the
-- user's `string`; the metatable itself is out of reach.
function lazy.string()
  rt.library("search") -- adds to it
  local str = rt.library("string")
  string_meta.__index = str
  return str
end

function lazy.table()
  return rt.library("table")
end

function lazy.unpack()
  return rt.env.table.unpack
end

local function first_method(_, name)
  return lazy.string()[name]
end

rt.each_program(function()
  string_meta.__index = first_method -- until the program has its `string`
end)

-- The environment of a required entry: the same globals, and the modules that the entry lists itself.
function rt.new_env(source, require)
  local shared = rt.env
  return setmetatable({ require = require, _G = shared }, {
    __index = function(_, name)
      local value = rawget(shared, name)
      if value ~= nil then
        return value
      end
      return unassigned(source, require, name)
    end,
    __newindex = shared,
    __metatable = false,
  })
end
