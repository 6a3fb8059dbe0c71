-- Boots a VM: makes rt and runs the library chunks that are given as name, bytecode, name, bytecode...
collectgarbage("stop")
local workflow, trace, instructions, seconds, memory, host, host_load = ...
local load, error, select = load, error, select

local rt = {
  workflow = workflow,
  trace = trace,
  budget = instructions,
  seconds = seconds,
  memory_limit = memory,
}
local loaded = {}

local function run(name, bytecode)
  local chunk, why = load(bytecode, name, "b")
  if not chunk then
    error(why, 0)
  end
  local module = chunk(rt)
  if module == nil then
    module = true
  end
  loaded[name] = module
  return module
end

-- Runs a library chunk once; its module table, or true when it has none.
function rt.library(name)
  local module = loaded[name]
  if module == nil then
    local bytecode, why = rt.host_load("library", name)
    if not bytecode then
      error(why, 0)
    end
    module = run(name, bytecode)
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

for i = 8, select("#", ...), 2 do
  run((select(i, ...)), (select(i + 1, ...)))
end
collectgarbage("restart")
return rt
