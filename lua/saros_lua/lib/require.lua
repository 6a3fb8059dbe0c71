-- Loading an entry's code, and its `require`: modules that it lists, entries that it imports.
local rt = ...
local raw = rt.raw
local type, error = raw.type, raw.error
local gmatch = raw.string.gmatch

-- Modules that need no listing: they are globals, too, and made on first use.
local ALWAYS = { process = true, channel = true, payload = true, errors = true }
for name in raw.next, ALWAYS do
  rt.lazy[name] = function()
    return rt.library(name)
  end
end
local PLAIN = { string = true, table = true, math = true, coroutine = true, utf8 = true, os = true }

local loaded -- entry id -> what its source gave (for imports)
local loading -- entry id -> true while its source runs
local require_for

rt.each_program(function()
  loaded, loading = {}, {}
end)

-- Runs the source of an entry ("" is the program's own) in an environment of its own.
-- Returns what it gave, and the name of its method ("" when it names none).
local function run_source(id)
  local ok, bytecode, method, modules, imports, name = rt.host("source", id)
  if not ok then
    error(method, 0) -- false, kind, message
  end
  local require = require_for(name, modules, imports)
  local env
  if id == "" then
    env = rt.env
    raw.rawset(env, "require", require)
    for module in gmatch(modules, "[^\n]+") do -- what an entry lists is also a global, until it has one of that name
      if not rt.lazy[module] and not PLAIN[module] then
        rt.lazy[module] = function()
          return require(module)
        end
      end
    end
  else
    env = rt.new_env(require)
  end
  return rt.compile_user(bytecode, env)(), method, name
end

local function import(id)
  local value = loaded[id]
  if value ~= nil then
    return value
  end
  if loading[id] then
    error("the import of " .. id .. " is circular: it is still being loaded", 0)
  end
  loading[id] = true
  value = run_source(id)
  loading[id] = nil
  if value == nil then
    value = true
  end
  loaded[id] = value
  return value
end

function require_for(name, modules, imports)
  local allowed, aliases = {}, {}
  for module in gmatch(modules, "[^\n]+") do
    allowed[module] = true
  end
  for alias, id in gmatch(imports, "([^\n=]+)=([^\n]+)") do
    aliases[alias] = id
  end
  return function(module)
    if type(module) ~= "string" then
      error("require wants the name of a module, not a " .. rt.env.type(module), 2)
    end
    if aliases[module] then
      return import(aliases[module])
    end
    if PLAIN[module] then
      return rt.env[module]
    end
    if ALWAYS[module] or allowed[module] then
      return rt.library(module)
    end
    local _, _, why = rt.host("refused_module", module, name)
    error(why, 2)
  end
end

-- The function that an entry runs; raises a text when its source does not hold it.
function rt.load_entry()
  local value, method, name = run_source("")
  if type(value) == "function" then
    return value
  end
  if type(value) ~= "table" then
    error(name .. " must return a table of functions, or a function, not a " .. rt.env.type(value), 0)
  end
  if method == "" then
    method = "main"
  end
  local main = value[method]
  if type(main) ~= "function" then
    error(name .. " has no function " .. method .. " in the table that it returns", 0)
  end
  return main
end
