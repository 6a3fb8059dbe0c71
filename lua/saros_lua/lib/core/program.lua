-- One execution: events come in, commands go out. Python calls rt.advance once per activation, or several times if the
-- events are too large together: then without length and size, which go on, and in vain once the program has closed.
--
-- advance(length, size, op, ref, body, time, op, ref, body, time, ...) returns, flat, for every event
-- that was delivered: n, then n times op, ref, body. Or, when the task (not the program) failed:
-- false, reason, message.
local rt = ...
local raw = rt.raw
local env = rt.env
local select, type, pcall = raw.select, raw.type, raw.pcall
local encode, decode = rt.encode, rt.decode
local block, wake, current = rt.block, rt.wake, rt.current
local unpack = raw.table.unpack
local CANCELLED = rt.CANCELLED
local clock = raw.os.clock

-- More commands than this between two blocking points is a runaway loop, not a workflow.
local MAX_COMMANDS = 50000

local out, len, mark -- commands of this activation, flat; index of the present event's count
local seq -- the last command's ref
local settlers -- ref -> function(outcome) for commands that are under way
local lines -- ref -> file:line
local time_ns
local length, size
local context_text -- of rt.context

rt.each_program(function()
  out, len, mark, seq, settlers = nil, 0, 0, 0, {}
  rt.start, rt.pid, rt.context = nil, nil, nil
  rt.running, rt.closed, rt.failed, rt.answering, rt.main = nil, nil, nil, nil, nil
  lines, context_text = rt.trace and {} or nil, nil
  time_ns, length, size = 0, 0, 0
end)

function rt.now()
  return time_ns
end

-- Number of events and bytes of the history so far, this activation's included.
-- The size counts each record's body and 32 bytes for the rest, on every backend.
function rt.history()
  return length, size
end

local function command(op, body)
  if rt.answering then
    rt.refuse_query()
  elseif not out then
    block() -- for good: the source is only being checked, and no command is carried out
  end
  seq = seq + 1
  out[len + 1], out[len + 2], out[len + 3] = op, seq, body
  len = len + 3
  length, size = length + 1, size + #body + 32
  if lines then
    lines[seq] = rt.where()
  end
  if len - mark > 3 * MAX_COMMANDS then
    raw.error("more than " .. MAX_COMMANDS .. " commands without blocking: is this an endless loop?", 0)
  end
  return seq
end
rt.command = command

-- The ref that the next command will have.
function rt.next_ref()
  return seq + 1
end

function rt.line_of(ref)
  return lines and lines[ref]
end

-- Encodes arguments ... as a JSON array; nil, err when one of them, or all together, cannot cross.
function rt.pack(what, ...)
  local n = select("#", ...)
  if n == 0 then
    return "[]"
  elseif n == 1 then
    local ok, json = pcall(encode, (...), what .. " 1")
    if not ok then
      return rt.fail("Invalid", json)
    end
    return "[" .. json .. "]"
  end
  local parts, args, total = {}, { ... }, 1 + n
  for i = 1, n do
    local ok, json = pcall(encode, args[i], what .. " " .. i)
    if not ok then
      return rt.fail("Invalid", json)
    end
    parts[i], total = json, total + #json
    local size = rt.oversize(total)
    if size then
      return rt.fail("Invalid", "the " .. what .. "s have " .. size)
    end
  end
  return "[" .. raw.table.concat(parts, ",") .. "]"
end

-- The context that flows on to calls and spawns, as JSON; `extra` values win.
function rt.context_json(extra)
  if not extra then
    if not context_text then
      context_text = raw.next(rt.context) == nil and "{}" or encode(rt.context, "context")
    end
    return context_text
  end
  local merged = {}
  for key, value in raw.next, rt.context do
    merged[key] = value
  end
  for key, value in raw.next, extra do
    merged[key] = value
  end
  return raw.next(merged) == nil and "{}" or encode(merged, "context")
end

-- Calls settle(outcome) when the command is done; outcome is {ok = value} or {err = ErrorData}.
function rt.on_done(ref, settle)
  settlers[ref] = settle
end

function rt.forget(ref)
  settlers[ref] = nil
end

-- Cancels a command that is under way; `of` is its op. Returns false when it was already done.
function rt.rescind(ref, of)
  if not settlers[ref] then
    return false
  end
  command("rescind", '{"ref":' .. ref .. ',"of":"' .. of .. '"}')
  return true
end

function rt.canceled_error(reason)
  local message = "canceled"
  if reason and reason ~= "" then
    message = message .. ": " .. reason
  end
  return rt.error({ kind = "Canceled", message = message, retryable = false })
end

function rt.unwrap(outcome)
  if outcome.err then
    return nil, rt.decode_error(outcome.err)
  end
  return outcome.ok, nil
end

-- Blocks until the command, whose op is `of`, is done: value, nil or nil, err. A cooperative cancellation rescinds
-- the command; with `patient`, the wait goes on until the command ends by itself. Calls ended() when it does.
function rt.await(ref, of, patient, ended)
  local task = current()
  task.awaits = ref
  settlers[ref] = function(outcome)
    wake(task, outcome)
  end
  local rescinded
  local outcome, err = block(function()
    rescinded = rt.rescind(ref, of)
    if patient then
      return false
    end
    settlers[ref] = nil
  end)
  if outcome == CANCELLED then
    return nil, err
  elseif ended then
    ended()
  end
  if rescinded and outcome.err and outcome.err.kind == "Canceled" then
    rt.meet_cancellation()
  end
  return rt.unwrap(outcome)
end

-- Issues a command and awaits it, unless the execution is cancelled: value, nil or nil, err.
function rt.perform(op, body, patient, ended)
  local refused = rt.refusal()
  if refused then
    return nil, refused
  end
  return rt.await(command(op, body), op, patient, ended)
end

local function stay()
  return false
end

-- Issues a command and awaits it, even if the execution is cancelled.
function rt.insist(op, body)
  local ref, task = command(op, body), current()
  task.awaits = ref
  settlers[ref] = function(outcome)
    wake(task, outcome)
  end
  return rt.unwrap(block(stay))
end

-- Issues a command and awaits it, even once the execution is cancelled: messages must still reach others.
function rt.request(op, body)
  if rt.refusing() then
    return rt.insist(op, body)
  end
  return rt.await(command(op, body), op)
end

-- Timers -------------------------------------------------------------------------------------------

function rt.timer(ns, fire)
  local ref = command("timer", '{"ns":' .. ns .. "}")
  settlers[ref] = fire
  return ref
end

function rt.timer_stop(ref)
  local stopped = rt.rescind(ref, "timer")
  settlers[ref] = nil
  return stopped
end

function rt.sleep(ns)
  if ns <= 0 then
    return true
  end
  local _, err = rt.perform("timer", '{"ns":' .. ns .. "}")
  if err then
    return nil, err
  end
  return true
end

-- Ends ---------------------------------------------------------------------------------------------

local function close(op, body)
  command(op, body)
  rt.closed = true
end

-- The JSON of an error, or, when its details are not data, of an error that says so.
function rt.error_json(err)
  local ok, json = pcall(rt.encode_error, err)
  return ok and json or rt.encode_error(rt.error({ kind = "Internal", retryable = false, message = json }))
end

local function fail(err, stack)
  close("fail", rt.error_json(rt.as_error(err, stack)))
end

-- Fails the program from outside its coroutines, for example when a linked peer has failed.
function rt.end_with(err)
  if not rt.closed then
    fail(err)
  end
end

-- A module may collect the results itself and set rt.conclude(result, err), which then reports them.
local function finish(...)
  local result, err = ...
  if rt.conclude then
    result, err = rt.conclude(result, err)
  end
  if result == nil and err ~= nil then
    if type(err) == "string" then
      err = rt.error({ message = err })
    end
    return fail(err)
  end
  local ok, json = pcall(encode, result, "result")
  if ok then
    close("complete", json)
  else
    fail(rt.error({ kind = "Invalid", message = json, retryable = false }))
  end
end

-- Ends this run from within any of its coroutines, which never resumes.
function rt.continue_as_new(entry, context, ...)
  rt.changing()
  local args, err = rt.pack("argument", ...)
  if not args then
    return nil, err
  end
  local size = rt.oversize(#args + #context)
  if size then
    return rt.fail("Invalid", "the arguments and the context have " .. size)
  end
  local parts = { '{"args":', args, ',"entry":', encode(entry or "", "entry"), ',"context":', context }
  if rt.unread_mail then
    local function hand_on(name, list)
      if #list > 0 then
        parts[#parts + 1] = ',"' .. name .. '":[' .. raw.table.concat(list, ",") .. "]"
      end
    end
    hand_on("mail", rt.unread_mail())
    hand_on("cancels", rt.unmet_cancels())
  end
  parts[#parts + 1] = "}"
  close("continue", raw.table.concat(parts))
  block()
end

-- Fails the workflow task, not the workflow: the driver parks it until the code or the limits are corrected.
function rt.abort(reason, message)
  rt.failed = { reason, message }
  rt.closed = true
  block()
end

-- Events -------------------------------------------------------------------------------------------

-- op -> function(body, ref); those of messages and other executions come with the process module
local on = raw.setmetatable(rt.keep({}), {
  __index = function(handlers, op) -- handlers that few programs need come with other chunks
    rt.library((op == "query" or op == "update") and "handlers" or "process")
    return raw.rawget(handlers, op)
  end,
})
rt.on = on

function on.start(body)
  local start = decode(body)
  rt.start = start
  rt.pid = start.pid or ""
  rt.context = start.context or {}
  rt.seed_from(start.secret or start.seed or rt.pid)
  local args = start.args or {}
  local n = rt.length(args)
  rt.spawn(function()
    local main = rt.load_entry()
    rt.running, rt.main = true, main
    finish(main(unpack(args, 1, n)))
  end)
end

-- The app has been reloaded. Only the process module knows whether the code asked for OUTDATED.
function on.outdated()
  if rt.outdated then
    rt.outdated()
  end
end

function on.done(body, ref)
  local settle = settlers[ref]
  if settle then
    settlers[ref] = nil
    settle(decode(body))
  end
end

local function run()
  local task, err = rt.run()
  if not task then
    return
  end
  local stack = rt.traceback(task.co)
  err = rt.told(err, raw.string.match(stack, "^[^\n]-:%d+"))
  if task.handle then
    task.handle(err, stack)
    return run()
  elseif not rt.running then
    rt.failed = { "code", rt.env.tostring(err) }
    rt.closed = true
  else
    fail(err, stack)
  end
end
rt.run_ready = run

-- Loads the entry's code without running its function: nil, or why that fails. A source that issues
-- a command at its top level, such as a call, is loaded up to that point.
function rt.try_load()
  rt.start, rt.pid, rt.context = { entry = "", secret = "" }, "", {}
  rt.seed_from("")
  local task = rt.spawn(rt.load_entry)
  local failed, err = rt.run()
  if failed == task then
    return rt.env.tostring(err)
  end
end

function rt.inspect()
  return rt.library("inspect")()
end

function rt.advance(history_length, history_size, ...)
  if history_length then
    length, size = history_length, history_size
  elseif rt.closed then
    return
  end
  local events, n = { ... }, select("#", ...)
  out, len = {}, 0
  local told = n > 4 and clock()
  for i = 1, n, 4 do
    if i > 1 and clock() - told > 0.5 then -- a replay may take long, as long as it makes progress
      told = clock()
      rt.host("alive")
    end
    local op, body = events[i], events[i + 2]
    time_ns = events[i + 3]
    if op ~= "query" then
      length, size = length + 1, size + #body + 32
    end
    len = len + 1
    mark = len
    rt.refuel_after(i - 1)
    on[op](body, events[i + 1])
    run()
    local why, message = rt.killed()
    if why then
      return false, why, message
    elseif rt.failed then
      return false, rt.failed[1], rt.failed[2]
    end
    out[mark] = (len - mark) // 3
    if rt.closed then
      break
    end
  end
  local result, count = out, len
  out = nil
  return unpack(result, 1, count)
end
