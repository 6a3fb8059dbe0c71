-- Boots a VM: gets the core chunks as name, bytecode, name, bytecode... and returns start(), which makes
-- a fresh rt (a world of its own, with an environment for user code) each time that it is called.
--
-- A VM runs one program after the other. Chunks are loaded once, so that a new program costs no more than
-- running them; nothing that user code can reach outlives its program.
local instructions, seconds, memory, host, host_load = ...
local load, error, select, collectgarbage = load, error, select, collectgarbage
local genuine_debug, getmetatable, upvaluejoin = debug, debug.getmetatable, debug.upvaluejoin
local next = next

local core = {} -- names, in order
local chunks = {} -- name -> function

-- Chunks without any state that a program could leave behind; they run once.
local PURE = { json_encode = true, json_decode = true }
local pure = {} -- name -> module

local function chunk_of(name, bytecode)
  local chunk, why = load(bytecode, name, "b")
  if not chunk then
    error(why, 0)
  end
  chunks[name] = chunk
  return chunk
end

for i = 6, select("#", ...), 2 do
  core[#core + 1] = (select(i, ...))
  chunk_of((select(i, ...)), (select(i + 1, ...)))
end

-- Code of users that ran here: bytecode -> its main function, whose environment each program replaces.
local KEPT = 8
local codes, n_codes = {}, 0

local function with_env(main, env)
  upvaluejoin(main, 1, function()
    return env
  end, 1)
  return main
end

-- For one program: compile(bytecode, env) gives the main function of a user's code, loaded but once for all
-- programs. What a program runs twice it gets twice, for the two may have different environments.
local function compiler()
  local used = {}
  return function(bytecode, env)
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
end

-- Lets go of all that the last program made, and collects it. Most of a VM is old, and what a program made
-- is young: that alone is looked at.
local function clean()
  for _, main in next, codes do
    with_env(main)
  end
  getmetatable("").__index = nil
  collectgarbage("generational") -- a program that needed the collector has changed that
  collectgarbage("step")
  collectgarbage("stop") -- most programs end before it pays; the sandbox starts it for others
end

local function start(workflow, trace)
  genuine_debug.sethook() -- the last program's, whose time is over: it must not stop the next one's start
  clean()
  local rt = {
    workflow = workflow,
    trace = trace,
    budget = instructions,
    seconds = seconds,
    memory_limit = memory,
    compile_user = compiler(),
  }
  local loaded = {}

  -- Runs a library chunk once; its module table, or true when it has none.
  function rt.library(name)
    local module = loaded[name] or pure[name]
    if module == nil then
      local chunk = chunks[name]
      if not chunk then
        local bytecode, why = rt.host_load("library", name)
        if not bytecode then
          error(why, 0)
        end
        chunk = chunk_of(name, bytecode)
      end
      module = chunk(rt)
      if module == nil then
        module = true
      end
      if PURE[name] then
        pure[name] = module
      else
        loaded[name] = module
      end
    end
    return module
  end

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

  debug = genuine_debug -- the sandbox takes it away again
  for i = 1, #core do
    rt.library(core[i])
  end
  return rt
end

return start
