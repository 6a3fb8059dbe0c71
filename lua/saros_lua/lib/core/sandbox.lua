-- The functions that must know the limits of user code (bounds.lua): pcall, xpcall, coroutine.*
local rt = ...
local pcall, xpcall, type, select = pcall, xpcall, type, select
local setmetatable, rawequal = setmetatable, rawequal
local create, resume, yield, status = coroutine.create, coroutine.resume, coroutine.yield, coroutine.status
local running, isyieldable, close = coroutine.running, coroutine.isyieldable, coroutine.close
local raw, place, told, charge, noted = rt.raw, rt.place, rt.told, rt.charge, rt.noted
local lua_error, error = error, raw.error
local killed, stop_if_killed, died, traceback = rt.killed, rt.stop_if_killed, rt.died, rt.traceback
local watch, before_resume, bounds = rt.watch, rt.before_resume, rt.bounds
local find, gsub, sub = raw.string.find, raw.string.gsub, raw.string.sub
local HEAD = 4096 -- bytes of an error in which its place is looked for

-- A function, not a table: comparing it with a user's table must not run the user's __eq.
local BLOCK = function() end
rt.BLOCK = BLOCK

-- Calls that catch ---------------------------------------------------------------------------------

local env = {}
rt.env = env

-- The results of a call that catches errors. After a kill no successful call gets here: the hook of
-- its coroutine raises at each instruction then.
local function caught(ok, ...)
  if ok then
    return true, ...
  end
  died((...))
  return false, told((...))
end

function env.pcall(...)
  return caught(pcall(...))
end

local handling -- while a handler runs: its coroutine, and the stack at the place of the error

rt.each_program(function()
  handling = nil
end)

local handled

-- The stack for an error that is made now: within a handler, the stack of the error that it handles. The frames
-- outside the xpcall have not changed since the error; they are read only here, because few handlers need them.
function rt.error_stack()
  if handling and handling.thread == running() then
    local inside, outside = handling.stack, traceback(nil, handled)
    return inside .. ((inside == "" or outside == "") and "" or "\n") .. outside
  end
  return traceback()
end

local noticed_errors -- the errors that xpcall is about to catch, with the stacks at their places; the newest first

rt.each_program(function()
  noticed_errors = nil
end)

local function notice(err)
  if not bounds.killed then
    err = told(err)
    noticed_errors = { err = err, stack = traceback(nil, nil, env.xpcall), outer = noticed_errors }
  end
  return err
end

-- The stack at the place of an error. Meanwhile closers may have run and caught errors of their own.
local function stack_of(err)
  local found = noticed_errors
  while found and not rawequal(found.err, err) do
    found = found.outer
  end
  noticed_errors = found and found.outer
  return found and found.stack or ""
end

-- Handlers run as ordinary code once the call has failed: where Lua runs them, at the place of the error, no
-- hook would stop them.
function handled(handler, ok, ...)
  if ok then
    return true, ...
  end
  local err = ...
  died(err)
  local outer = handling
  handling = { thread = running(), stack = stack_of(err) }
  local _, result = caught(pcall(handler, err))
  handling = outer
  return false, result
end

function env.xpcall(fn, handler, ...)
  if type(handler) ~= "function" then
    error("bad argument #2 to 'xpcall' (function expected, got " .. env.type(handler) .. ")", 2)
  end
  return handled(handler, xpcall(fn, notice, ...))
end

-- Errors of a C function have no position when a wrapper called it. They get the position of
-- the user's code. For: return finish(pcall(fn, ...)).
local function finish(ok, ...)
  if ok then
    return ...
  end
  local err = ...
  stop_if_killed()
  died(err)
  if type(err) == "string" then
    local head = #err > HEAD and sub(err, 1, HEAD) or err -- a pattern takes too long for a text of megabytes
    err = gsub(err, "^%?:%-1: ", "")
    err = gsub(err, "^(bad argument #%d+ to )'[%w_]+%.([%w_]+)'", "%1'%2'")
    if not find(head, "^[^\n:]+:%d+: ") then
      local at = place()
      err = at and at .. ": " .. err or err
    end
  end
  error(err, 0)
end
rt.finish = finish

-- For functions whose time is the time to read their first argument.
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

-- The same as `finish`; also charges for a large string that was made.
function rt.charged_result(ok, result, ...)
  if ok and type(result) == "string" and #result > 1024 then
    charge(#noted(result) // 16)
  end
  return finish(ok, result, ...)
end

-- For a user's own error, which stays as it is.
function rt.pass(...)
  local ok, err = caught(...)
  if not ok then
    error(err, 0)
  end
  return select(2, ...)
end

-- Coroutines ---------------------------------------------------------------------------------------

local function new_thread(fn)
  local co = create(fn)
  watch(co)
  return co
end

local WEAK = { __mode = "k" }
local tasks -- the scheduler's own coroutines
local busy -- users' coroutines in which a library call blocks
local overflown -- users' coroutines that ran out of stack, by error: if it hit the hook, the hook is off

rt.each_program(function()
  tasks, busy, overflown = setmetatable({}, WEAK), setmetatable({}, WEAK), setmetatable({}, WEAK)
end)

function rt.spawn_thread(fn)
  local co = new_thread(fn)
  tasks[co] = true
  return co
end

local function noticed(ok, ...)
  if not ok and not killed() then
    pcall(died, (...))
  end
  return ok, ...
end

-- For the scheduler: a task that ran out of memory or stack must stop the execution.
function raw.coroutine_resume(co, ...)
  if bounds.closer then
    before_resume(co)
  end
  return noticed(resume(co, ...))
end

-- Checks the error of a coroutine.
local function fell(co, err)
  died(err)
  if type(err) == "string" and find(err, "stack overflow", 1, true) then
    overflown[co] = err
  end
end

-- A blocking library call inside a user's coroutine yields BLOCK, which blocks the whole task: BLOCK is
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
  if bounds.killed then
    stop_if_killed()
  elseif not ok then
    fell(co, (...))
    return false, told((...))
  elseif (...) == BLOCK then
    return resumed(co, block_in(co))
  end
  return ok, ...
end

-- Closes a coroutine. This runs user code with the hook on, because no hook of this coroutine has failed.
local function closed(co)
  stop_if_killed()
  if overflown[co] then
    return false, overflown[co]
  end
  before_resume(co)
  return caught(close(co))
end

local function wrapped(co, ok, ...)
  if bounds.killed then
    stop_if_killed()
  elseif ok then
    if (...) == BLOCK then
      return wrapped(co, block_in(co))
    end
    return ...
  end
  local err = ...
  fell(co, err)
  if status(co) == "dead" then
    local clean, late = closed(co)
    if not clean then
      err = late
    end
  end
  lua_error(err, 2) -- like Lua: a place only if user code made the call
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
  if bounds.closer then
    before_resume(co)
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
    if bounds.closer then
      before_resume(co)
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
  end
  return finish(pcall(closed, co))
end
