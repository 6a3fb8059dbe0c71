-- Boots a VM: takes the core chunks as name, bytecode, name, bytecode... and returns rt.
--
-- A VM runs one program after the other; rt.renew() makes room for the next. The core chunks run once, and
-- their functions are never made again; the same holds for a chunk that begins with rt.lasting(), once a
-- program has needed it. To keep anything from outliving its program:
--   * everything that user code can change is made anew: its environment, and every table of functions in it;
--   * such a chunk initialises the state of a program in rt.each_program(fn), and gives the objects that it
--     makes places of their own (objects.lua);
--   * all other chunks run anew in every program that needs them; what they add to rt, and to the tables that
--     chunks give to rt.keep(t), is taken away again.
local instructions, milliseconds, memory, workflow, trace, host, host_load, host_clock = ...
local load, error, pcall, select, next, type = load, error, pcall, select, next, type
local collectgarbage, upvaluejoin, setupvalue = collectgarbage, debug.upvaluejoin, debug.setupvalue
local getmetatable, setmetatable = debug.getmetatable, setmetatable

local rt = {
  workflow = workflow,
  trace = trace,
  budget = instructions,
  milliseconds = milliseconds,
  host_clock = host_clock,
  memory_limit = memory,
}
local booting = true

local function copy(t)
  local fields = {}
  for key, value in next, t do
    fields[key] = value
  end
  return fields
end
rt.copy = copy

-- The fresh state of each program ------------------------------------------------------------------------

local begins = {} -- functions, in order of their chunks
local kept = { [rt] = {} } -- table -> the fields that it has at the start of a program
local lasting -- while a lasting chunk runs: kept table -> the fields that it had before
local changed -- whether another chunk has run in this program, which may have added to them

-- Calls fn at the start of each program, and at once if this program has already started.
function rt.each_program(fn)
  if booting or lasting then
    begins[#begins + 1] = fn
  end
  if not booting then
    fn()
  end
end

-- A table of the library to which programs may add.
function rt.keep(t)
  if booting or lasting then
    kept[t] = {}
  end
  return t
end

-- Keeps the additions to the kept tables for later programs, too.
local function keep_changes(before)
  for t, fields in next, kept do
    local old = before[t] or {}
    for key, value in next, t do
      if old[key] ~= value then
        fields[key] = value
      end
    end
  end
end

local function restore(t, fields)
  for key, value in next, t do
    local first = fields[key]
    if value ~= first then
      t[key] = first
    end
  end
  for key, value in next, fields do
    if t[key] == nil then
      t[key] = value
    end
  end
end

-- Chunks -----------------------------------------------------------------------------------------------

local chunks = {} -- name -> function
local core = {} -- name -> module, of chunks that run once
local loaded -- name -> module, of this program

local function chunk_of(name, bytecode)
  local chunk, why = load(bytecode, name, "b")
  if not chunk then
    error(why, 0)
  end
  chunks[name] = chunk
  return chunk
end

local function load_chunk(name)
  local bytecode, why = rt.host_load("library", name)
  if not bytecode then
    error(why, 0)
  end
  return chunk_of(name, bytecode)
end

-- Declares, at the start of a chunk, that it runs once for all programs of this VM.
function rt.lasting()
  if not booting then
    lasting = {}
    for t in next, kept do
      lasting[t] = copy(t)
    end
    rt.env = kept[rt].env -- the program may have changed its own
  end
end

local function run_and_keep(name, outer, env)
  local module = chunks[name](rt)
  if module == nil then
    module = true
  end
  if lasting then
    rt.env = env
    keep_changes(lasting)
  end
  if booting or lasting then
    core[name] = module
  elseif outer then
    error("a lasting chunk needs " .. name .. ", which is not", 0)
  else
    loaded[name], changed = module, true
  end
  return module
end

local function run_chunk(name)
  if not chunks[name] then
    load_chunk(name)
  end
  local outer, env = lasting, rt.env
  lasting = nil
  local fine, module = pcall(run_and_keep, name, outer, env)
  lasting = outer
  if not fine then -- user code may leave almost no stack; a chunk that failed half-way is unfit for other programs
    rt.spoiled, rt.env = true, env
    error(module, 0)
  end
  return module
end

-- A module for one program: user code may have it and change it.
local function own(module)
  local fields = copy(module)
  for key, value in next, fields do
    if type(value) == "table" and not getmetatable(value) then
      fields[key] = copy(value)
    end
  end
  return setmetatable(fields, getmetatable(module))
end

-- Runs a library chunk once; its module table, or true when it has none.
function rt.library(name)
  if booting or lasting then
    return core[name] or run_chunk(name)
  end
  local module = loaded[name]
  if module == nil then
    module = core[name] or run_chunk(name)
    if type(module) == "table" and core[name] then
      module = own(module)
      loaded[name] = module
    end
  end
  return module
end

-- User code ----------------------------------------------------------------------------------------

local KEPT = 16
local sources, n_sources = {}, 0 -- number -> source, which any program of this VM may run
local used -- source -> true when this program has run it

-- Bytecode to a function.
function rt.compile_user(bytecode, env)
  local fn, why = load(bytecode, "=user", "b", env)
  if not fn then
    error(why, 0)
  end
  setupvalue(fn, 2, rt.check)
  return fn
end

-- Keeps a source for later programs, which know its number.
function rt.add_source(number, source)
  if n_sources == KEPT then
    sources, n_sources = {}, 0
  end
  sources[number], n_sources = source, n_sources + 1
end

-- The main function of a source. A program that runs it twice gets two functions, which may have different
-- environments.
function rt.main_of(source, env)
  local main = not used[source] and source.main
  if main then
    upvaluejoin(main, 1, function()
      return env
    end, 1)
  else
    main = rt.compile_user(source.bytecode, env)
    source.main = main
  end
  used[source] = true
  return main
end

-- Drops the program's environment.
local function forget_env()
  local nothing
  local function empty()
    return nothing
  end
  for source in next, used do
    upvaluejoin(source.main, 1, empty, 1)
  end
  used = {}
end

-- Python -----------------------------------------------------------------------------------------------

local function answered(ok, ...)
  if ok == nil then -- Ctrl-C and the like: Python raises it again once Lua has returned
    rt.interrupt()
  end
  return ok, ...
end

local CROSSING = 1000 -- the fewest instructions that a host call costs
local costs = { -- of host calls that take longer
  log = 4000, time_span = 30000, time_abbreviation = 30000, crypto_jwt_open = 5000, crypto_jwt_sign = 5000,
  json_validate = 20000, source = 20000,
}

-- The instructions that a host call costs: it reads or processes its bytes once or twice.
local function cost_of(name, ...)
  local cost = costs[name] or CROSSING
  for i = 1, select("#", ...) do
    local argument = select(i, ...)
    if type(argument) == "string" then
      cost = cost + #argument // 2
    end
  end
  return cost
end

-- Long strings from the host count as long for user code, too.
local function received(ok, ...)
  rt.noted((...))
  return ok, ...
end

-- Python's results are pushed outside any protected call: the headroom above the limit is for them.
-- One host function: true, value... or false, kind, message.
function rt.host(name, ...)
  rt.charge(cost_of(name, ...))
  rt.reserve(0)
  return received(answered(host(name, ...)))
end

-- Bytecode or data for the library: value or nil, message.
function rt.host_load(kind, ...)
  rt.reserve(0)
  local ok, value, message = answered(host_load(kind, ...))
  if ok then
    return value
  end
  return nil, message
end

-- Programs ---------------------------------------------------------------------------------------------

local GARBAGE = 256 -- KiB that programs may leave before it is collected
local limit = 0

-- A collection costs as much as ten programs, so garbage is left alone for a while. The sandbox starts the
-- collector for a program that makes much garbage.
local function clean()
  collectgarbage("stop")
  if collectgarbage("count") > limit then
    collectgarbage("collect")
    limit = collectgarbage("count") + GARBAGE
  end
end

-- Drops everything that the last program made, and prepares the next one, whose source has that number.
function rt.renew(source_number)
  loaded = {}
  forget_env()
  if changed then
    for t, fields in next, kept do
      restore(t, fields)
    end
    changed = false
  end
  rt.own_source = sources[source_number]
  for i = 1, #begins do
    begins[i]()
  end
  clean()
end

collectgarbage("stop")
for i = 9, select("#", ...), 2 do
  chunk_of((select(i, ...)), (select(i + 1, ...)))
  rt.library((select(i, ...)))
end
booting = false
used = {}
keep_changes({})
rt.renew()
return rt
