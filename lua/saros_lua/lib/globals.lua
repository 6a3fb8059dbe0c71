-- The rest of what user code sees: math, os, print, and helpful errors for what is not there.
local rt = ...
local raw, env = rt.raw, rt.env
local type, error, select, next = raw.type, raw.error, raw.select, raw.next
local setmetatable, rawset, rawget = raw.setmetatable, raw.rawset, raw.rawget
local floor, tointeger, math_type = raw.math.floor, raw.math.tointeger, raw.math.type
local lazy = rt.lazy

env._G = env
env._VERSION = "Lua 5.4"
env.assert, env.error, env.ipairs = raw.assert, raw.error, raw.ipairs
env.rawequal, env.select, env.tonumber = raw.rawequal, raw.select, raw.tonumber

function env.print(...)
  local n = select("#", ...)
  if n == 1 then
    return rt.print(env.tostring((...)))
  end
  local parts = { ... }
  for i = 1, n do
    parts[i] = env.tostring(parts[i])
  end
  rt.print(raw.table.concat(parts, "\t"))
end

-- Both are replaced by the program (program.lua, require.lua).
function rt.print() end
function rt.now()
  return 0
end

function env.require(name)
  return rt.require(name)
end
function rt.require(name)
  error("require('" .. env.tostring(name) .. "') is not possible here", 2)
end

-- math ---------------------------------------------------------------------------------------------

local math = {}
for name, value in next, raw.math do
  math[name] = value
end
env.math = math

local exp, log = math.exp, math.log
function math.pow(x, y)
  return x ^ y
end
function math.log10(x)
  return log(x, 10)
end
function math.sinh(x)
  return (exp(x) - exp(-x)) / 2
end
function math.cosh(x)
  return (exp(x) + exp(-x)) / 2
end
function math.tanh(x)
  local e = exp(-2 * x)
  return e == 1 / 0 and -1.0 or (1 - e) / (1 + e)
end
function math.ldexp(m, e)
  return m * 2.0 ^ e
end
function math.atan2(y, x)
  return math.atan(y, x)
end
function math.frexp(x)
  if x == 0 or x ~= x or x == 1 / 0 or x == -1 / 0 then
    return x + 0.0, 0
  end
  local m, e = x + 0.0, 0
  while m >= 1 or m <= -1 do
    m, e = m / 2, e + 1
  end
  while m < 0.5 and m > -0.5 do
    m, e = m * 2, e - 1
  end
  return m, e
end

-- The generator is Lua's own, but seeded by the run. (User code has it to itself: see rt.random_bytes.)
local randomseed = raw.math.randomseed
local seed_a, seed_b = 0, 0

function rt.seed(a, b)
  seed_a, seed_b = a, b
  randomseed(a, b)
end

if rt.workflow then
  randomseed(0, 0)
  function math.randomseed(...)
    if select("#", ...) == 0 then
      seed_b = seed_b + 1
      return randomseed(seed_a, seed_b)
    end
    return rt.finish(raw.pcall(randomseed, ...))
  end
end

-- os -----------------------------------------------------------------------------------------------

local os = {}
env.os = os

-- Days since 1970-01-01 of a date in the Gregorian calendar; month and day may be out of range.
local function days(year, month, day)
  year = year + (month - 1) // 12
  month = (month - 1) % 12 + 1
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
end

local function field(t, name, default)
  local value = t[name]
  local integer = tointeger(raw.tonumber(value))
  if integer and integer > -2147483648 and integer < 2147483648 then
    return integer
  elseif value == nil and default then
    return default
  elseif value == nil then
    error("field '" .. name .. "' missing in date table", 0)
  end
  error("field '" .. name .. "' is not an integer within bounds", 0)
end

local function date_fields(seconds)
  return raw.os.date("!*t", seconds)
end

local function from_table(t)
  local day = days(field(t, "year"), field(t, "month"), field(t, "day"))
  local seconds = day * 86400 + field(t, "hour", 12) * 3600 + field(t, "min", 0) * 60 + field(t, "sec", 0)
  for name, value in next, date_fields(seconds) do -- Lua puts the fields in order, too
    t[name] = value
  end
  return seconds
end

function os.time(t)
  if t == nil then
    return rt.now() // 1000000000
  elseif env.type(t) ~= "table" then
    error("bad argument #1 to 'time' (table expected, got " .. env.type(t) .. ")", 2)
  end
  return rt.finish(raw.pcall(from_table, t))
end

-- Dates are UTC with and without "!".
function os.date(format, time)
  if format == nil then
    format = "%c"
  elseif type(format) ~= "string" or #format > 4096 then
    error("bad argument #1 to 'date' (a format of up to 4096 bytes expected)", 2)
  end
  if time == nil then
    time = rt.now() // 1000000000
  end
  if raw.string.sub(format, 1, 1) ~= "!" then
    format = "!" .. format
  end
  return rt.finish(raw.pcall(raw.os.date, format, time))
end

function os.difftime(a, b)
  return (a - (b or 0)) + 0.0
end

if rt.workflow then
  function os.clock()
    return rt.now() / 1e9
  end
else
  os.clock = raw.os.clock
end

-- What is not there --------------------------------------------------------------------------------

local ACTIVITY = "do it in an activity (a function.python or function.lua entry) and call that with funcs.call"
local CODE = "code comes from entries: put shared code into a library.lua entry and require it"
local MODULES = "list what you need under modules: or imports: of the entry, and require it"

local instead_of_os = {
  execute = ACTIVITY, remove = ACTIVITY, rename = ACTIVITY, tmpname = ACTIVITY,
  getenv = "use require('env').get(name), in a function",
  exit = "return from the entry's function, or raise an error",
  setlocale = "the locale is always C",
}

setmetatable(os, {
  __index = function(_, name)
    local hint = instead_of_os[name]
    if hint then
      error("os." .. name .. " is not available: " .. hint, 2)
    end
  end,
  __metatable = false,
})

local instead = {
  io = ACTIVITY,
  debug = "an error tells its stack with err:stack(), and print goes to the log",
  load = CODE, loadstring = CODE, loadfile = CODE, dofile = CODE,
  package = MODULES,
  collectgarbage = "the runtime looks after memory",
}

setmetatable(env, {
  __index = function(self, name)
    local make = lazy[name]
    if make then
      local value = make()
      rawset(self, name, value)
      return value
    end
    local hint = instead[name]
    if hint then
      error(name .. " is not available: " .. hint, 2)
    end
  end,
  __metatable = false,
})

-- These come with their library chunk, when they are first used.
for _, name in raw.ipairs({ "errors", "channel", "payload", "process" }) do
  lazy[name] = function()
    return rt.library(name)
  end
end

-- Environment of a required entry: the same globals, and a `require` that knows that entry's modules.
function rt.new_env(require)
  return setmetatable({ require = require, _G = env }, {
    __index = env,
    __newindex = env,
    __metatable = false,
  })
end
