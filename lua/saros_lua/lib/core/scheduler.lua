-- The scheduler: runs the coroutines of one execution until all are blocked.
--
-- A *task* is a coroutine of user code. A blocking operation registers its task where it will be woken
-- and calls rt.block(); the rest of the surface (channels, futures, timers, inboxes) is built
-- on block and wake. Python is crossed once per activation: events in, commands out (see program.lua).
local rt = ...
local raw = rt.raw
local resume, yield = raw.coroutine_resume, raw.coroutine_yield
local status = raw.coroutine_status
local sort, next = raw.table.sort, raw.next
local BLOCK = rt.BLOCK

local ready, head, tail -- tasks that can run, in the order in which they became ready
local blocked -- task id -> task
local last_id
local current -- the task that is running
local cancelled -- why nothing may block any more: an error, or nil
local refusals -- how many blocking calls were refused for that reason
local met -- whether a blocking call has returned CANCELED for that reason

-- Code that ignores its cancellation is ended after this many refused blocking calls.
local PATIENCE = 1000

rt.each_program(function()
  ready, head, tail = {}, 1, 0
  blocked, last_id, current = {}, 0, nil
  cancelled, refusals, met = nil, 0, false
end)

-- Wakes a blocked task: its rt.block() returns a, b, c.
local function wake(task, a, b, c)
  task.a, task.b, task.c = a, b, c
  tail = tail + 1
  ready[tail] = task
end
rt.wake = wake

function rt.current()
  return current
end

-- The error of a refused blocking call when the execution is cancelled cooperatively, else nil. Query handlers
-- are exempt, because they may not block at all.
function rt.refusal()
  if not cancelled or rt.answering then
    return nil
  end
  refusals, met = refusals + 1, true
  if refusals > PATIENCE then
    rt.end_with(cancelled)
    rt.block()
  end
  return cancelled
end

-- Whether blocking calls are refused.
function rt.refusing()
  return cancelled ~= nil
end

-- Suspends the running task until wake(task, a, b, c). When the execution is (or was) cancelled cooperatively
-- first, `on_cancel()` deregisters the task; it returns false to stay blocked nevertheless.
function rt.block(on_cancel)
  local task = current
  if not task then
    raw.error("this blocks, and may only be called from the code of an entry", 0)
  end
  if not raw.coroutine_isyieldable() then
    raw.error("this blocks, and cannot be called from within a metamethod or a callback of string.gsub", 0)
  end
  if cancelled and on_cancel and not rt.answering and on_cancel() ~= false then
    task.awaits = nil
    return rt.CANCELLED, rt.refusal()
  end
  task.on_cancel = on_cancel
  blocked[task.id] = task
  yield(BLOCK)
  blocked[task.id], task.awaits = nil, nil
  return task.a, task.b, task.c
end

-- Starts fn(...) as a new task; it runs after the running task blocks.
function rt.spawn(fn, ...)
  last_id = last_id + 1
  local task = { id = last_id, co = rt.spawn_thread(fn) }
  local n = raw.select("#", ...)
  if n <= 3 then
    task.a, task.b, task.c = ...
  else
    task.args = raw.table.pack(...)
  end
  task.count = n
  tail = tail + 1
  ready[tail] = task
  return task
end

local function first_resume(task)
  local n, co = task.count, task.co
  task.count = nil
  if n == 0 then
    return resume(co)
  elseif n == 1 then
    return resume(co, task.a)
  elseif n <= 3 then
    return resume(co, task.a, task.b, task.c)
  end
  return resume(co, raw.table.unpack(task.args, 1, n))
end

-- Runs every ready task until all are blocked, or until rt.closed is set.
-- Returns nil, or a task and the error that it raised.
function rt.run()
  while head <= tail do
    local task = ready[head]
    ready[head] = nil
    head = head + 1
    current = task
    local ok, err
    if task.count then
      ok, err = first_resume(task)
    else
      ok, err = resume(task.co)
    end
    current = nil
    if not ok then
      return task, err
    end
    if rt.closed or rt.killed() then
      return nil
    end
    -- A task whose function has returned is simply forgotten.
  end
  head, tail = 1, 0
  return nil
end

-- Forgets a task that is blocked.
function rt.abandon(task)
  blocked[task.id] = nil
end

-- Forgets the tasks that could run.
function rt.drop_ready()
  for i = head, tail do
    ready[i] = nil
  end
  head, tail = 1, 0
end

-- The tasks that are blocked, in the order in which they were started.
local function blocked_tasks()
  local tasks = {}
  for _, task in next, blocked do
    tasks[#tasks + 1] = task
  end
  sort(tasks, function(a, b)
    return a.id < b.id
  end)
  return tasks
end
rt.blocked_tasks = blocked_tasks

-- Delivers a cooperative cancellation to every blocked task, and to later blocking calls.
function rt.cancel_blocked(err)
  cancelled = cancelled or err
  local tasks = blocked_tasks()
  for i = 1, #tasks do
    local task = tasks[i]
    local on_cancel = task.on_cancel
    if status(task.co) == "suspended" and (not on_cancel or on_cancel() ~= false) then
      met = true
      wake(task, rt.CANCELLED, err)
    end
  end
end

-- Records that the code has learnt of its cooperative cancellation: a blocking call returns CANCELED.
function rt.meet_cancellation()
  met = true
end

-- Whether the code has learnt of its cooperative cancellation.
function rt.has_met_cancellation()
  return met
end
rt.CANCELLED = {}

-- Lets the code block again after a cancellation: from now on it handles the cancellation itself.
function rt.take_cancellation()
  cancelled = nil
end

rt.env.coroutine.spawn = function(fn, ...)
  if raw.type(fn) ~= "function" then
    raw.error("coroutine.spawn expects a function, not a " .. rt.env.type(fn), 2)
  end
  rt.changing()
  rt.spawn(fn, ...).fn = fn
end
