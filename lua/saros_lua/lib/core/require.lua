-- Loading an entry's code, and its `require`: modules that it lists, entries that it imports.
local rt = ...
local raw = rt.raw
local type, error = raw.type, raw.error
local gmatch = raw.string.gmatch

-- Modules that need not be listed: they are globals, too, and made on first use.
local ALWAYS = { process = true, channel = true, payload = true, errors = true }
for name in raw.next, ALWAYS do
  rt.lazy[name] = function()
    return rt.library(name)
  end
end
local PLAIN = { string = true, table = true, math = true, coroutine = true, utf8 = true, os = true }

local loaded -- of the program: {entry id = the value that its source returned} (for imports)
local loading -- the same: {entry id = true while its source runs}
local require_for

rt.each_program(function()
  loaded, loading = {}, {}
end)

-- `loaded` and `loading`. What a query or a side effect loads is its own: a replay runs neither.
local function imports()
  local own = rt.naming
  if not own then
    return loaded, loading
  elseif not own.loaded then
    own.loaded, own.loading = raw.setmetatable({}, { __index = loaded }), {}
  end
  return own.loaded, own.loading
end

-- The source of an entry ("" is the program's own).
local function fetch(id)
  local ok, number, bytecode, method, modules, imports, name = rt.host("source", id)
  if not ok then
    error(bytecode, 0) -- false, kind, message
  end
  local source = { bytecode = bytecode, method = method, name = name, modules = {}, imports = {}, fetched = {} }
  for module in gmatch(modules, "[^\n]+") do
    source.modules[module] = true
  end
  for alias, entry in gmatch(imports, "([^\n=]+)=([^\n]+)") do
    source.imports[alias] = entry
  end
  if id == "" then
    rt.add_source(number, source)
  end
  return source
end

-- The value of an import.
local function import(source, alias)
  local id = source.imports[alias]
  local loaded, loading = imports()
  local value = loaded[id]
  if value ~= nil then
    return value
  end
  if loading[id] then
    error("the import of " .. id .. " is circular: it is still being loaded", 0)
  end
  loading[id] = true
  local _ <close> = raw.setmetatable({}, {
    __close = function()
      loading[id] = nil -- a source that fails may be tried again
    end,
  })
  local imported = source.fetched[id] or fetch(id)
  source.fetched[id] = imported
  value = rt.main_of(imported, rt.new_env(imported, require_for(imported)))()
  if value == nil then
    value = true
  end
  loaded[id] = value
  return value
end

function require_for(source)
  return function(module)
    if type(module) ~= "string" then
      error("require expects the name of a module, not a " .. rt.env.type(module), 2)
    end
    if source.imports[module] then
      return import(source, module)
    end
    if PLAIN[module] then
      return rt.env[module]
    end
    if ALWAYS[module] or source.modules[module] then
      return rt.library(module)
    end
    local _, _, why = rt.host("refused_module", module, source.name)
    error(why, 2)
  end
end

local function look(name, field)
  local value = rt.env[name]
  if field == "" then
    return value
  end
  return value[field]
end

-- For checking code without running it: the type of a global or of a field of it, or "error" and the message on
-- access; for the field "*", the names of all fields.
function rt.probe(name, field)
  if not rt.own.bytecode then
    local source = rt.own_source or fetch("")
    rt.own, rt.require = source, require_for(source)
    rt.start, rt.pid, rt.context = { entry = "" }, "", {}
  end
  if field == "*" then
    local names = {}
    for key in raw.next, rt.env[name] do
      names[#names + 1] = raw.tostring(key)
    end
    return "table", raw.table.concat(names, " ")
  end
  local fine, value = raw.pcall(look, name, field)
  if not fine then
    return "error", (raw.string.gsub(raw.tostring(value), "^saros/[^:]+:%d+: ", ""))
  end
  return rt.env.type(value), ""
end

-- The function that an entry runs; raises a string when the source does not hold it.
function rt.load_entry()
  local source = rt.own_source or fetch("")
  rt.own, rt.require = source, require_for(source)
  rt.main = rt.main_of(source, rt.env)
  local value = rt.main()
  if type(value) == "function" then
    return value
  end
  if type(value) ~= "table" then
    error(source.name .. " must return a table of functions, or a function, not a " .. rt.env.type(value), 0)
  end
  local method = source.method == "" and "main" or source.method
  local main = value[method]
  if type(main) ~= "function" then
    error(source.name .. " has no function " .. method .. " in the table that it returns", 0)
  end
  return main
end
