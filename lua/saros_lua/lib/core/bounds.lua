-- How user code is bounded: instructions, time and memory. The rules are in docs/sandbox.md.
--
-- A hook runs every `step` instructions of every coroutine and takes them off the fuel; an instruction that does
-- much work is charged before it runs. When the fuel is gone the execution is *killed*: the hook
-- raises at every instruction from then on, and every function that catches errors raises again. A killed VM
-- cannot be used any more; the host calls rt.killed() and drops it.
local rt = ...
local error, type, collectgarbage = error, type, collectgarbage
local clock, format, find = os.clock, string.format, string.find
local sethook, gethook = debug.sethook, debug.gethook
local byte, running, getinfo = string.byte, coroutine.running, debug.getinfo
local isyieldable, yield = coroutine.isyieldable, coroutine.yield
local where, host_clock = rt.where, rt.host_clock

-- lupa looks up the global `debug` outside any protected call whenever Python calls Lua, so it must be
-- absent. No Python object may be reachable either.
debug, python, package.loaded.python = nil, nil, nil

local STEP = 1000 -- instructions between two hooks
local LOOKS = 4 -- hooks between two looks at the clock
local STOPPED = "the execution was stopped"
local OUT_OF_MEMORY = "not enough memory" -- Lua's own text
local LARGE = 8192 -- KiB; a VM that uses as much may have tables whose keys take long to find or to arrange anew
local MEDIUM = 768 -- KiB; a VM that uses as much may have tables that take some time to arrange anew
local COLLECT = 1024 -- KiB; until a VM uses that much, its garbage is left alone (see boot.lua)

local budget, memory_limit, seconds = rt.budget, rt.memory_limit / 1024, rt.milliseconds / 1000
local fuel = budget
local look_at = budget -- the fuel that is left when the clock is checked next
local started -- CPU time of this thread when the activation began
local deadline -- CPU time of the process at which the thread's CPU time is checked
local killed, killed_text, killed_place -- a VM that was killed runs no other program
local collecting
local step, looks = STEP, LOOKS
local heaviest, heavy_size = 0, 0 -- the string that takes longest to handle: its weight and size
local hook

-- State that other chunks read often: `killed`, and `closer`: whether hooks must run more often than usual.
local state = {}
rt.bounds = state

-- Sets the hook of the running coroutine to the rate that is due now. (The main thread runs the library.)
local function arm()
  local _, main = running()
  if not main then
    sethook(hook, "", step)
  end
end

local patience = 1000 -- instructions of the library that a killed execution may still run, to get to `kill`

-- The hook of a killed execution, at each instruction.
local function dead()
  if patience > 0 and byte(getinfo(2, "S").source) ~= 64 then
    patience = patience - 1
  else
    error(STOPPED, 0)
  end
end

-- Stops everything. `text` has one %s for the place.
local function kill(reason, text)
  if not killed then
    killed, state.killed, killed_text = reason, true, text
    killed_place = where() -- there may be no stack left for this
  end
  local _, main = running()
  if not main then
    sethook(dead, "", 1)
    if isyieldable() then
      yield() -- for good: an error would be caught at each of perhaps thousands of levels, and close variables
    end
  end
  error(STOPPED, 0)
end

local function kill_memory()
  local text = "this needs more than %d MiB of memory%%s: does a table or a text grow without end?"
  kill("memory", format(text, memory_limit // 1024))
end

local function kill_over_budget()
  local text = "this used more than %d instructions without blocking: is there an endless loop%%s?"
  kill("budget", format(text, budget))
end

-- Checks an error that a call has caught. If the hook itself may have raised it, for lack of stack, the code runs
-- without a hook from then on: such a program does not go on.
function rt.died(err)
  if killed then
    kill()
  elseif type(err) ~= "string" then
    return
  end
  local last = byte(err, -1)
  if last ~= 119 and last ~= 121 and last ~= 103 then
    return
  elseif err == OUT_OF_MEMORY then
    kill_memory()
  elseif find(err, "C stack overflow", -16, true) or err == "error in error handling" then
    kill("stack", "this nests calls too deep%s: is there an endless recursion through pcall, metamethods or coroutines?")
  end
end

-- Fails unless `bytes` more fit under the memory limit.
local function reserve(bytes)
  local extra = bytes / 1024
  if collectgarbage("count") + extra > memory_limit then
    local before = collectgarbage("count")
    collectgarbage("collect")
    fuel = fuel - before * 50 // 1 -- a full collection costs fuel too, or code could provoke collections for ever
    if collectgarbage("count") + extra > memory_limit then
      kill_memory()
    end
  end
end
rt.reserve = reserve

-- The CPU time of this thread; nil means that the host was interrupted.
local function thread_time()
  return host_clock() or rt.interrupt()
end

local MOST = 5 -- how many times more time a slow machine gets at most

-- How much slower this machine is, at this moment, than one that runs an instruction in 6 ns, and the loop below in
-- 8.5 ns: the best of a few looks, for something else may disturb one. Lua counts the instructions here, too, but
-- calls no hook, which may be due at each of them.
local function slowness()
  local used, mask, count = gethook()
  sethook(used, mask, 1 << 30)
  local best = MOST
  for _ = 1, 4 do
    local before = thread_time()
    for _ = 1, 10000 do
    end
    local ratio = (thread_time() - before) / 10000 / 8.5e-9
    best = ratio < best and ratio or best
  end
  sethook(used, mask, count)
  return best < 1 and 1 or best
end

-- Seconds that it may take to leave a deep stack: each close variable on it runs until the hook stops it.
local function unwinding()
  local frames = 4096
  while getinfo(frames, "t") do
    frames = frames * 2
  end
  return frames > 4096 and frames * 3e-7 or 0
end

local OFTEN = 0.005 -- seconds; the stack may become deep soon after a look at it

-- Whether the activation has used up its time; a slow machine allows more, so that the same work passes everywhere.
-- Reading the thread's clock takes long, so the clock of the process, which is never behind it, comes first.
local function is_late()
  local now = clock()
  if deadline and now <= deadline then
    return false
  end
  local thread = thread_time()
  started = started or thread
  local used = thread - started
  local allowed = used < seconds and seconds or seconds * slowness()
  local left = allowed - used - unwinding()
  deadline = now + (left > 2 * OFTEN and left / 2 or left < OFTEN and left or OFTEN)
  return left <= 0
end

local function check()
  if killed then
    kill()
  elseif fuel <= 0 then
    kill_over_budget()
  elseif is_late() then
    local text = "this ran for more than %d ms without blocking: is there an endless loop%%s?"
    kill("budget", format(text, rt.milliseconds))
  end
  reserve(0)
  look_at = fuel - looks * step
  if look_at < 0 then
    look_at = 0
  end
end

local function start_collector()
  collecting = true
  collectgarbage("restart")
end

local function lighten()
  heaviest, heavy_size, step, looks = 0, 0, STEP, LOOKS
  state.closer = nil
end

function hook()
  fuel = fuel - step
  local used = collectgarbage("count")
  if used > COLLECT then
    if not collecting then
      start_collector()
    end
    look_at = fuel -- a store may make Lua arrange a whole table anew
    if used > LARGE then
      rt.watch_closer(used * 64, LARGE * 512)
    end
  elseif used > MEDIUM and fuel <= look_at + 2 * step then
    look_at = fuel
  end
  if fuel <= look_at or killed or used > memory_limit then
    check()
    if heaviest > 0 and used * 1024 < heavy_size then -- it is gone
      lighten()
      arm()
    end
  end
end

-- Stops the execution because the host was interrupted.
function rt.interrupt()
  kill("interrupt", "this was interrupted%s")
end

-- The VM's main thread runs the scheduler, which has to finish its report after a kill.
local grace = 1000
local function main_hook()
  if killed and grace > 0 then
    grace = grace - 1
  else
    hook()
  end
end
sethook(main_hook, "", STEP)

-- Makes the clock be checked soon: for calls that may take long, but seldom do.
rt.look = check

-- Before C looks for the first key of a table, which takes long in a large one that was emptied.
local searches = 0
function rt.searching()
  searches = searches + 1
  if searches & 7 == 0 and collectgarbage("count") > LARGE then
    check()
  end
end

-- Charges for the work of one instruction before it is done.
local function charge(instructions)
  fuel = fuel - instructions
  if fuel <= 0 or killed or instructions >= STEP then
    check()
  end
end
rt.charge = charge

-- Long strings ------------------------------------------------------------------------------

local LIGHT = 256 * 1024 -- the cost of a string up to this weight is within the rate of the hooks
local QUICK = 4096 -- bytes; too short to weigh
local MAX_ZEROS = 4 << 20 -- bytes of a string with zero bytes, because Lua compares it from one zero byte to the next

local function watch_closer(weight, size)
  if weight > LIGHT and weight > heaviest then
    heaviest, heavy_size, state.closer = weight, size, true
    step, looks = STEP * LIGHT // weight, 2
    if step < 4 then
      step, looks = 4, 1
    end
    if look_at < fuel - looks * step then -- as was due with the longer steps
      look_at = fuel - looks * step
    end
    arm()
  end
end

rt.watch_closer = watch_closer

-- Records that a call returns many values: each further call that passes them on copies them.
function rt.noted_values(count)
  charge(count)
  if count > 4096 then
    watch_closer(count * 40, 0) -- for the rest of the program
  end
end

-- The operators of Lua (==, <, .., arithmetic) and many of its functions handle a whole string in one instruction.
-- While there are long strings, the hook runs more often.
local function weigh(text, size)
  local weight = size
  if find(text, "\0", 1, true) then
    weight = 40 * size
  elseif size > 1 << 20 or find(text, "^[%s%x.]", QUICK) then -- copies need new pages; or it could be a number
    weight = 4 * size
  end
  watch_closer(weight, size)
end

-- Records a string that a program got or made, and returns it.
local function noted(text)
  if type(text) == "string" then
    local size = #text
    if size > QUICK then
      weigh(text, size)
    end
  end
  return text
end
rt.noted = noted

-- The same for a concatenation, which was not charged before.
function rt.joined(text)
  if type(text) == "string" and #text > QUICK then
    local size = #text
    weigh(text, size)
    if size > MAX_ZEROS and find(text, "\0", 1, true) then
      rt.refuse_zeros(size)
    end
    charge(size // 64)
  end
  return text
end

function rt.refuse_zeros(size)
  error("a string with zero bytes may have at most " .. MAX_ZEROS .. " bytes, and this would have " .. size, 0)
end
rt.MAX_ZEROS = MAX_ZEROS

-- The function that user bytecode calls (instrument.py): with the result of a concatenation, or with what is indexed, a
-- key that may be one of those that Lua itself obeys, and the value that is to be stored there.
function rt.check(a, key, value)
  if key == nil then
    if type(a) == "string" and #a > QUICK then
      rt.joined(a)
    end
  elseif key == "__call" or key == "__mode" then
    rt.before_store(rt.target(a, key), key, value)
  end
end

-- Coroutines ----------------------------------------------------------------------------------------

-- Sets the hook of a coroutine. This costs STEP, because the hook first runs after that many instructions.
function rt.watch(co)
  charge(STEP)
  sethook(co, hook, "", step)
end

-- Before a coroutine goes on: coroutines older than the first long string need the higher rate.
function rt.before_resume(co)
  if heaviest > 0 and type(co) == "thread" then
    sethook(co, hook, "", step)
    charge(STEP)
  end
end

-- Activations ---------------------------------------------------------------------------------------

rt.each_program(function()
  fuel, look_at, started, deadline, collecting = budget, budget - LOOKS * STEP, nil, nil, false
  searches = 0
  lighten()
end)

local spent = 0 -- by the events before, in this activation

function rt.refuel()
  spent = spent + budget - fuel
  fuel, look_at, started, deadline = budget, budget - LOOKS * STEP, nil, nil
  if heaviest > 0 and collectgarbage("count") * 1024 < heavy_size then
    lighten()
    arm()
  end
end

-- How Python calls in; `now` is the CPU time of its thread.
function rt.enter(now, fn, ...)
  spent = 0
  fuel, look_at, started, deadline = budget, budget - LOOKS * STEP, now, nil
  if not collecting and collectgarbage("count") > COLLECT then
    start_collector()
  end
  return fn(...)
end

-- The instructions that the last activation has used, in steps of STEP.
function rt.used()
  return spent + budget - fuel
end

-- Whether the activation has only begun: its first event need not start the clock again.
function rt.refuel_after(events)
  if events > 0 then
    rt.refuel()
  end
end

-- nil, or why the execution was stopped ("budget", "memory" or "stack") and a sentence about it.
function rt.killed()
  if killed then
    return killed, format(killed_text, killed_place and " at " .. killed_place or "")
  end
end

function rt.stop_if_killed()
  if killed then
    kill()
  end
end
