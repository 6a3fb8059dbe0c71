-- Functions and a process for the tests of the Temporal backend.
local M = {}

function M.echo(...)
  return ...
end

-- Fails as it is told.
function M.fail(what)
  if what.raise then
    error(what.raise)
  end
  if what.fill then
    what.details = { ("x"):rep(what.fill) }
  end
  return nil, errors.new(what)
end

-- Fails until the given attempt.
function M.flaky(attempt)
  local activity = require("activity")
  local now = activity.info().attempt
  if now < attempt then
    return nil, errors.new({ message = "attempt " .. now, kind = errors.UNAVAILABLE })
  end
  return now
end

function M.info()
  return require("activity").info()
end

-- Records progress; its second attempt tells what the first one recorded.
function M.beats()
  local activity = require("activity")
  local info = activity.info()
  if info.attempt == 1 then
    activity.heartbeat({ step = 7 })
    require("time").sleep("20s")
  end
  return { attempt = info.attempt, seen = info.heartbeat_details }
end

-- Beats until somebody cancels it, and says so.
function M.waits()
  local activity, time = require("activity"), require("time")
  local events = process.events()
  while true do
    activity.heartbeat("waiting")
    local found = channel.select({ events:case_receive(), time.after("100ms"):case_receive() })
    if found.channel == events then
      return nil, errors.new({ message = "stopped on request", kind = errors.CANCELED })
    end
  end
end

function M.big(n)
  return ("x"):rep(n)
end

-- Starts a workflow, watches it, and gives its EXIT.
function M.starter(entry, ...)
  local pid, err = process.spawn_monitored(entry, "app:worker", ...)
  if err then
    return nil, err
  end
  local event = process.events():receive()
  return {
    kind = event.kind,
    from_it = event.from == pid,
    value = event.result.value,
    error = event.error and event.error:kind(),
  }
end

-- A process that answers every message, until "stop".
function M.pong()
  local inbox = process.inbox()
  while true do
    local message = inbox:receive()
    if message:topic() == "stop" then
      return "stopped"
    end
    process.send(message:from(), "pong", message:payload():data())
  end
end

return M
