-- Boots a VM: gets the core chunks as name, bytecode, name, bytecode... and returns rt.
--
-- A VM runs one program after the other; rt.renew() makes room for the next. The core chunks run once, and
-- no function of theirs is ever made again. So that nothing outlives its program:
--   * what user code can change is made anew: its environment, and every table of functions in it;
--   * a core chunk initialises the state of a program in rt.each_program(fn);
--   * rt and the tables that chunks give to rt.keep(t) get back the fields that they had after booting;
--   * all other chunks run anew in every program that needs them.
local instructions, seconds, memory, workflow, trace, host, host_load = ...
local load, error, select, next, type = load, error, select, next, type
local collectgarbage, upvaluejoin = collectgarbage, debug.upvaluejoin

local rt = {
  workflow = workflow,
  trace = trace,
  budget = instructions,
  seconds = seconds,
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

-- What each program gets afresh ------------------------------------------------------------------------

local begins = {} -- functions, in order of their chunks

-- Has fn called at the start of each program; in a chunk that every program runs anew, just now.
function rt.each_program(fn)
  if booting then
    begins[#begins + 1] = fn
  else
    fn()
  end
end

local kept = { [rt] = false } -- table -> the fields that it had after booting

-- A table of the library to which programs may add.
function rt.keep(t)
  if booting then
    kept[t] = false
  end
  return t
end

local function restore(t, fields)
  for key in next, t do
    if fields[key] == nil then
      t[key] = nil
    end
  end
  for key, value in next, fields do
    t[key] = value
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

local function run_chunk(name)
  local module = (chunks[name] or load_chunk(name))(rt)
  if module == nil then
    return true
  end
  return module
end

-- Runs a library chunk once; its module table, or true when it has none.
function rt.library(name)
  local module = booting and core[name] or loaded and loaded[name]
  if module == nil then
    module = core[name]
    if module == nil then
      module = run_chunk(name)
      if booting then
        core[name] = module
      else
        loaded[name] = module
      end
    elseif type(module) == "table" then -- user code may have it and change it
      module = copy(module)
      loaded[name] = module
    end
  end
  return module
end

-- Code of users ----------------------------------------------------------------------------------------

local KEPT = 8
local codes, n_codes = {}, 0 -- bytecode -> its main function, loaded once for all programs
local used -- main functions that this program has run

local function with_env(main, env)
  upvaluejoin(main, 1, function()
    return env
  end, 1)
  return main
end

-- The main function of a user's code. What a program runs twice it gets twice: the two may have different
-- environments.
function rt.compile_user(bytecode, env)
  local main = codes[bytecode]
  if main and not used[main] then
    used[main] = true
    return with_env(main, env)
  end
  local fresh = load(bytecode, "=user", "b", env)
  if not main and n_codes < KEPT then
    codes[bytecode], n_codes = fresh, n_codes + 1
    used[fresh] = true
  end
  return fresh
end

-- Python -----------------------------------------------------------------------------------------------

local function answered(ok, ...)
  if ok == nil then -- Ctrl-C and the like: Python raises it again once Lua has returned
    rt.interrupt()
  end
  return ok, ...
end

-- What Python returns is pushed outside any protected call: the head-room above the limit is for it.
-- One host function: true, value... or false, kind, message.
function rt.host(name, ...)
  rt.reserve(0)
  return answered(host(name, ...))
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

-- Looking for garbage costs as much as ten programs, so it is left alone for a while. The sandbox starts the
-- collector for a program that makes much.
local function clean()
  collectgarbage("stop")
  if collectgarbage("count") > limit then
    collectgarbage("collect")
    limit = collectgarbage("count") + GARBAGE
  end
end

-- Drops all that the last program made, and prepares the next one.
function rt.renew()
  loaded, used = {}, {}
  for t, fields in next, kept do
    restore(t, fields)
  end
  for _, main in next, codes do
    with_env(main)
  end
  for i = 1, #begins do
    begins[i]()
  end
  clean()
end

collectgarbage("stop")
for i = 8, select("#", ...), 2 do
  chunk_of((select(i, ...)), (select(i + 1, ...)))
  rt.library((select(i, ...)))
end
booting = false
for t in next, kept do
  kept[t] = copy(t)
end
rt.renew()
return rt
