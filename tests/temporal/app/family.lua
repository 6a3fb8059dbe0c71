-- Parents, children and conversations.
local M = {}

local function exit_of(event)
  return {
    kind = event.kind,
    from = event.from,
    value = event.result.value,
    error = event.error and { kind = event.error:kind(), message = event.error:message() },
  }
end

function M.parent(what)
  if what.exec then
    local value, err = require("workflow").call("app:child", what.exec)
    return { value = value, error = err and { kind = err:kind(), message = err:message(), details = err:details() } }
  end
  local events = process.events()
  local spawner = process.with_options(what.options or {})
  if what.message then
    spawner = spawner:with_message("hello", 1):with_message("hello", 2)
  end
  local pid, err = spawner:spawn(what.entry or "app:child", "app:worker", what.args)
  if err then
    return { error = { kind = err:kind(), message = err:message() } }
  end
  if what.leave then
    return { pid = pid }
  end
  if what.act == "cancel" then
    process.cancel(pid, "enough")
  elseif what.act == "terminate" then
    process.terminate(pid)
  elseif what.act == "send" then
    process.send(pid, "go", "on")
  end
  local exit = exit_of(events:receive())
  local late, why = process.send(pid, "late")
  return { pid = pid, me = process.pid(), exit = exit, late = late, why = why and why:kind() }
end

function M.child(what)
  if what.fail then
    if what.fail.fill then
      what.fail.details = { ("x"):rep(what.fail.fill) }
    end
    return nil, errors.new(what.fail)
  elseif what.inbox then
    local got = {}
    for i = 1, what.inbox do
      local message = process.inbox():receive()
      got[i] = { message:topic(), message:payload():data(), message:from() }
    end
    return got
  elseif what.forever then
    local _, err = require("time").sleep("1h")
    return nil, err
  end
  return what.value
end

-- Waits for a cancellation, and tells of it.
function M.waiting(mode)
  if mode == "cooperative" then
    local _, ok = process.inbox():receive()
    return ok
  end
  local event = process.events():receive()
  return { kind = event.kind, reason = event.reason, from = event.from }
end

-- Talks with a process, a name and a workflow that it did not start.
function M.talk(what)
  local events, inbox = process.events(), process.inbox()
  if what.monitor then
    local ok, err = process.monitor(what.monitor)
    if err then
      return { error = err:kind() }
    end
    process.send(what.monitor, "go", "on")
    return exit_of(events:receive())
  end
  local pid, err = process.spawn_monitored("app:pong", "app:host")
  if err then
    return nil, err
  end
  process.send(pid, "ping", what.value)
  local message = inbox:receive()
  process.send(pid, "stop")
  local exit = exit_of(events:receive())
  local _, gone = process.send(pid, "late")
  return {
    topic = message:topic(),
    data = message:payload():data(),
    from_it = message:from() == pid,
    exit = exit.value,
    gone = gone and gone:kind(),
  }
end

return M
