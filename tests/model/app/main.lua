-- Interprets a program, which is a list of operations. Notes the result of each, and every message, in order.
local funcs, time, workflow = require("funcs"), require("time"), require("workflow")

local quickly = funcs.new():with_options({ ["activity.retry_policy"] = { initial_interval = 5 } })
local near = quickly:with_options({ ["activity.local"] = true, ["activity.retry_policy"] = { initial_interval = 5 } })

-- Returns {"ok", value}, or {"error", kind} for a function that raises, or returns nil and an error.
local function outcome(ok, value, err)
  if not ok then
    value, err = nil, value
  end
  if err ~= nil then
    if errors.is(err, errors.CANCELED) then
      process.events() -- takes note of the cancel, so that later waits are not refused
    end
    return { "error", errors.is(err, errors.CANCELED) and errors.CANCELED or tostring(err) }
  end
  return { "ok", value }
end

local function try(fn, ...)
  return outcome(pcall(fn, ...))
end

-- state: ops; for a child also its name and its parent's pid; after continue_as_new also the results so far.
local function main(state)
  local log, got, branches = state.log or {}, state.got or {}, state.branches or {}
  local told = state.told or 0 -- messages that this child has sent
  local owed = state.owed or 0 -- messages of ended children that have not arrived yet
  local ended = state.ended or false
  local inbox, over, joined = process.inbox(), channel.new(0), channel.new(1000)
  local running = 0

  workflow.on_query("state", function()
    return { log = log, got = got, branches = branches, told = told }
  end)

  local function note(message)
    local topic, body = message:topic(), message:payload():data()
    if topic == "end" then
      ended = true
      over:close() -- wakes every branch that waits for a message
      return "end"
    end
    got[#got + 1] = { body.s, body.n }
    if topic == "tell" then
      owed = owed - 1
    end
    return body.s
  end

  local run -- runs a list of operations

  local does = {
    call = function(op)
      return funcs.call("app:echo", op.n)
    end,
    quick = function(op)
      return funcs.call("app:quick", op.n)
    end,
    flaky = function(op)
      return quickly:call("app:flaky", op.n)
    end,
    flaky_near = function(op)
      return near:call("app:flaky", op.n)
    end,
    slow_near = function(op)
      return near:call("app:slow", op.n)
    end,
    far = function(op)
      return funcs.call("app:far", op.n)
    end,
    abandon_near = function(op)
      local future = near:async("app:slow", op.n)
      time.sleep((op.n + 1) .. "ms")
      future:cancel()
      local _, err = future:result()
      return err and err:kind() or "done"
    end,
    sleep = function(op)
      local _, err = time.sleep(op.n .. "ms")
      return op.n, err
    end,
    receive = function()
      if ended then
        return "over"
      end
      local ready = channel.select({ inbox:case_receive(), over:case_receive() })
      return ready.channel == inbox and note(ready.value) or "over"
    end,
    receive_soon = function(op)
      local late = time.after((op.n + 1) .. "ms")
      local ready = channel.select({ inbox:case_receive(), late:case_receive() })
      return ready.channel == inbox and note(ready.value) or "late"
    end,
    race = function(op)
      local future = funcs.async("app:echo", op.n)
      local late = time.after((op.n + 1) .. "ms")
      local ready = channel.select({ future:channel():case_receive(), late:case_receive() })
      return ready.channel == late and "late" or "called"
    end,
    abandon = function(op)
      local future = funcs.async("app:slow", op.n)
      time.sleep((op.n + 1) .. "ms")
      future:cancel()
      local _, err = future:result()
      return err and err:kind() or "done"
    end,
    stop_timer = function(op)
      local timer = time.timer("1h")
      time.sleep((op.n + 1) .. "ms")
      return timer:stop()
    end,
    version = function(op)
      return workflow.version("change-" .. op.n, 1, op.n + 1)
    end,
    side_effect = function()
      return workflow.side_effect(function()
        return math.random(1000000)
      end)
    end,
    random = function()
      return math.random(1000000)
    end,
    memo = function(op)
      return workflow.attrs({ memo = { n = op.n } })
    end,
    tell = function()
      told = told + 1 -- before the send blocks, since other branches may send meanwhile
      return process.send(state.parent, "tell", { s = state.name, n = told })
    end,
    child = function(op)
      local given = { ops = op.ops, name = op.name, parent = process.pid() }
      local result, err = workflow.call("app:main", given)
      if result then
        owed = owed + result.told
      end
      return result, err
    end,
    fork = function(op)
      local branch = {}
      branches[#branches + 1] = branch
      local index = #branches
      running = running + 1
      coroutine.spawn(function()
        run(op.ops, branch)
        joined:send(true)
      end)
      return index
    end,
  }

  function run(ops, notes)
    for _, op in ipairs(ops) do
      notes[#notes + 1] = try(does[op.op], op)
    end
  end

  -- A cancel may interrupt this wait; no operation notes it then.
  local function join()
    while running > 0 do
      if pcall(joined.receive, joined) then
        running = running - 1
      else
        process.events()
      end
    end
  end

  for i, op in ipairs(state.ops) do
    if op.op == "continue" then
      join()
      log[#log + 1] = { "ok", "continued" }
      return workflow.continue_as_new({
        ops = table.move(state.ops, i + 1, #state.ops, 1, {}),
        name = state.name, parent = state.parent, ended = ended,
        log = log, got = got, branches = branches, told = told, owed = owed,
      })
    end
    log[#log + 1] = try(does[op.op], op)
  end
  join()
  while not state.parent and not (ended and owed <= 0) do
    local ok = pcall(function()
      note(inbox:receive())
    end)
    if not ok then
      process.events()
    end
  end
  return { log = log, got = got, branches = branches, told = told }
end

return { main = main }
