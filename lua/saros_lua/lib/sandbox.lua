-- How user code is bounded (budget, memory), and the functions that have to know about it: pcall, xpcall,
-- coroutine.*
--
-- Bounds work like this: a hook runs every STEP instructions of every coroutine and takes them off the
-- fuel; C functions that do a lot in one instruction are charged for it (texts.lua, search.lua,
-- tables.lua). When the fuel is gone the execution is *killed*: the hook raises at every instruction from
-- then on, and whatever could catch an error raises again. A killed VM is of no further use; the host asks
-- rt.killed() and drops it.
local rt = ...
local error, pcall, xpcall, type, select = error, pcall, xpcall, type, select
local setmetatable, collectgarbage, clock, time = setmetatable, collectgarbage, os.clock, os.time
local format, sethook = string.format, debug.sethook
local create, resume, yield, status = coroutine.create, coroutine.resume, coroutine.yield, coroutine.status
local running, isyieldable, close = coroutine.running, coroutine.isyieldable, coroutine.close
local raw, where = rt.raw, rt.where

-- A function, not a table: comparing it with a user's table must not run the user's __eq.
local BLOCK = function() end
rt.BLOCK = BLOCK

-- lupa looks up the global `debug` outside any protected call whenever Python calls Lua, so it has to
-- be plainly absent. Nothing of Python may be reachable either.
debug, python, package.loaded.python = nil, nil, nil

-- Bounds ------------------------------------------------------------------------------------------

local STEP = 1000
local STOPPED = "the execution was stopped"
local OUT_OF_MEMORY = "not enough memory" -- Lua's own text
local budget, memory_limit, seconds = rt.budget, rt.memory_limit / 1024, rt.seconds
-- The last resort against what the fuel does not see. Both clocks have to agree: other threads use CPU
-- time as well, and wall time passes while the machine sleeps.
local fuel, deadline, cpu_deadline = budget, nil, nil
local killed, killed_text -- a VM that was killed runs no other program
local hook

-- Stops everything. `text` has one %s for the place.
local function kill(reason, text)
  if not killed then
    local place = where()
    killed = reason
    killed_text = format(text, place and " at " .. place or "")
  end
  local _, main = running()
  if not main then
    sethook(hook, "", 1)
  end
  error(STOPPED, 0)
end

local function kill_memory()
  local text = "this needs more than %d MiB of memory%%s: does a table or a text grow without end?"
  kill("memory", format(text, memory_limit // 1024))
end

-- Fails unless `bytes` more fit under the memory limit.
local function reserve(bytes)
  local extra = bytes / 1024
  if collectgarbage("count") + extra > memory_limit then
    local before = collectgarbage("count")
    collectgarbage("collect")
    fuel = fuel - before * 50 // 1 -- a full collection is work too, or it could be provoked for ever
    if collectgarbage("count") + extra > memory_limit then
      kill_memory()
    end
  end
end
rt.reserve = reserve

local function check()
  if killed then
    kill()
  elseif fuel <= 0 then
    local text = "this used more than %d instructions without blocking: is there an endless loop%%s?"
    kill("budget", format(text, budget))
  elseif not deadline then -- the clocks are read late: most activations end before the hook runs once
    deadline, cpu_deadline = time() + seconds, clock() + seconds
  elseif time() > deadline and clock() > cpu_deadline then
    local text = "this ran for more than %d s without blocking: is there an endless loop%%s?"
    kill("budget", format(text, seconds))
  end
  reserve(0)
end

local COLLECT = 1024 -- KiB; until a VM uses that much, its garbage is left alone (see boot.lua)
local collecting

rt.each_program(function()
  fuel, deadline, cpu_deadline, collecting = budget, nil, nil, false
end)

local function start_collector()
  collecting = true
  collectgarbage("restart")
end

function hook()
  fuel = fuel - STEP
  if not collecting and collectgarbage("count") > COLLECT then
    start_collector()
  end
  if fuel <= 0 or killed or not deadline or time() > deadline or collectgarbage("count") > memory_limit then
    check()
  end
end

-- Stops the execution because the host was interrupted.
function rt.interrupt()
  kill("interrupt", "this was interrupted%s")
end

-- The VM's main thread runs the scheduler, which has to finish its report after a kill.
local grace = 1000
sethook(function()
  if killed and grace > 0 then
    grace = grace - 1
  else
    hook()
  end
end, "", STEP)

-- Charges for work that a C function does within one instruction.
local function charge(instructions)
  fuel = fuel - instructions
  if fuel <= 0 or killed or instructions >= STEP then
    check()
  end
end
rt.charge = charge

function rt.refuel()
  fuel, deadline = budget, nil
end

-- How Python calls in.
function rt.enter(fn, ...)
  rt.refuel()
  if not collecting and collectgarbage("count") > COLLECT then
    start_collector()
  end
  return fn(...)
end

-- nil, or why the execution was stopped ("budget" or "memory") and a sentence about it.
function rt.killed()
  return killed, killed_text
end

-- Calls that catch ---------------------------------------------------------------------------------

local env = {}
rt.env = env

local function caught(ok, ...)
  if killed then
    kill()
  elseif not ok and (...) == OUT_OF_MEMORY then
    kill_memory()
  end
  return ok, ...
end

function env.pcall(...)
  return caught(pcall(...))
end

function env.xpcall(fn, handler, ...)
  if type(handler) ~= "function" then
    error("bad argument #2 to 'xpcall' (function expected, got " .. env.type(handler) .. ")", 2)
  end
  return caught(xpcall(fn, function(err)
    if killed then -- raised in the hook: hooks are off in here, so nothing could stop the handler
      return err
    end
    return handler(err)
  end, ...))
end

-- Errors that a C function raised have no position when a wrapper called it. These are given that of
-- the user's code. For: return finish(pcall(fn, ...)).
local function finish(ok, ...)
  if ok then
    return ...
  end
  local err = ...
  if killed then
    kill()
  elseif err == OUT_OF_MEMORY then
    kill_memory()
  elseif type(err) == "string" then
    err = raw.string.gsub(err, "^%?:%-1: ", "")
    err = raw.string.gsub(err, "^(bad argument #%d+ to )'[%w_]+%.([%w_]+)'", "%1'%2'")
    if not raw.string.find(err, "^[^\n:]+:%d+: ") then
      local place = where()
      err = place and place .. ": " .. err or err
    end
  end
  error(err, 0)
end
rt.finish = finish

-- For functions whose time is that of reading their first argument.
function rt.linear(fn)
  return function(s, ...)
    if type(s) == "string" then
      if #s > 1024 then
        charge(#s // 8)
      end
      if select("#", ...) == 0 then
        return fn(s)
      end
    end
    return finish(pcall(fn, s, ...))
  end
end

-- The same as `finish`, charging for a large text that was made.
function rt.charged_result(ok, result, ...)
  if ok and type(result) == "string" and #result > 1024 then
    charge(#result // 8)
  end
  return finish(ok, result, ...)
end

-- For an error that is a user's own and stays as it is.
function rt.pass(...)
  local ok, err = caught(...)
  if not ok then
    error(err, 0)
  end
  return select(2, ...)
end

-- Coroutines ---------------------------------------------------------------------------------------

-- Every coroutine costs STEP, for it has that many instructions before its hook runs first.
local function new_thread(fn)
  charge(STEP)
  local co = create(fn)
  sethook(co, hook, "", STEP)
  return co
end

local WEAK = { __mode = "k" }
local tasks -- the scheduler's own coroutines
local busy -- users' coroutines in which a library call blocks

rt.each_program(function()
  tasks, busy = setmetatable({}, WEAK), setmetatable({}, WEAK)
end)

function rt.spawn_thread(fn)
  local co = new_thread(fn)
  tasks[co] = true
  return co
end

local function noticed(ok, ...)
  if not ok and not killed and (...) == OUT_OF_MEMORY then
    pcall(kill_memory)
  end
  return ok, ...
end

-- For the scheduler: a task that ran out of memory has to stop the execution.
function raw.coroutine_resume(...)
  return noticed(resume(...))
end

-- A blocking library call inside a user's coroutine yields BLOCK, which blocks the whole task: it is
-- passed outward to the scheduler, and the coroutine goes on when the task does.
local function block_in(co)
  busy[co] = true
  if not isyieldable() then
    error("this blocks, and cannot be called from within a metamethod or a callback of string.gsub", 0)
  end
  yield(BLOCK)
  busy[co] = nil
  return resume(co)
end

local function resumed(co, ok, ...)
  if killed then
    kill()
  elseif not ok then
    if (...) == OUT_OF_MEMORY then
      kill_memory()
    end
  elseif (...) == BLOCK then
    return resumed(co, block_in(co))
  end
  return ok, ...
end

local function wrapped(co, ok, ...)
  if killed then
    kill()
  elseif ok then
    if (...) == BLOCK then
      return wrapped(co, block_in(co))
    end
    return ...
  end
  local err = ...
  if err == OUT_OF_MEMORY then
    kill_memory()
  end
  if status(co) == "dead" then
    local clean, late = close(co)
    if killed then
      kill()
    elseif not clean then
      err = late
    end
  end
  error(err, 2)
end

local function want_thread(co, name)
  if type(co) ~= "thread" then
    error("bad argument #1 to '" .. name .. "' (coroutine expected)", 3)
  end
end

local function want_function(fn, name)
  if type(fn) ~= "function" then
    error("bad argument #1 to '" .. name .. "' (function expected)", 3)
  end
end

local co_env = {}
env.coroutine = co_env

function co_env.create(fn)
  want_function(fn, "create")
  return new_thread(fn)
end

function co_env.resume(co, ...)
  want_thread(co, "resume")
  if busy[co] or tasks[co] then
    return false, "cannot resume non-suspended coroutine"
  end
  return resumed(co, resume(co, ...))
end

function co_env.wrap(fn)
  want_function(fn, "wrap")
  local co = new_thread(fn)
  return function(...)
    if busy[co] then
      error("cannot resume non-suspended coroutine", 2)
    end
    return wrapped(co, resume(co, ...))
  end
end

function co_env.yield(...)
  if tasks[running()] then
    error("attempt to yield from outside a coroutine", 2)
  end
  return yield(...)
end

function co_env.status(co)
  want_thread(co, "status")
  if busy[co] or tasks[co] and co ~= running() and status(co) ~= "dead" then
    return "normal"
  end
  return status(co)
end

function co_env.running()
  local co, main = running()
  return co, main or tasks[co] or false
end

function co_env.isyieldable(co)
  if co ~= nil then
    want_thread(co, "isyieldable")
    return not tasks[co] and isyieldable(co)
  end
  return not tasks[running()] and isyieldable()
end

function co_env.close(co)
  want_thread(co, "close")
  if busy[co] or tasks[co] then
    error("cannot close a " .. co_env.status(co) .. " coroutine", 2)
  elseif killed then -- its pending __close would run with the hook off
    kill()
  end
  return finish(pcall(caught, close(co)))
end
