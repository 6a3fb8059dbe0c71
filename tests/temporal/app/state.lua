-- State: queries, updates, continue-as-new, attributes, facts.
local M = {}

function M.counter(start)
  local workflow = require("workflow")
  local count = start or 0
  local inbox = process.inbox()
  workflow.on_query("count", function(factor)
    if factor == "bad" then
      return nil, errors.new({ message = "bad factor", kind = "BadFactor" })
    end
    return count * (factor or 1)
  end)
  workflow.on_update("add", function(n)
    count = count + n
    return count
  end, function(n)
    return math.type(n) == "integer"
  end)
  inbox:receive()
  return count
end

-- Reads one message per run, and starts over until it has seen `last`.
function M.again(seen, last)
  local workflow, time = require("workflow"), require("time")
  local inbox = process.inbox()
  seen = seen or {}
  local message = inbox:receive()
  seen[#seen + 1] = message:payload():data()
  time.sleep("1ms")
  if #seen < last then
    return workflow.continue_as_new(seen, last)
  end
  return { seen = seen, from = message:from() }
end

function M.attrs(given)
  local workflow = require("workflow")
  local ok, err = workflow.attrs({ search = given.search, memo = given.memo })
  if given.wait then
    process.inbox():receive()
  end
  return { ok = ok, kind = err and err:kind(), message = err and err:message() }
end

function M.facts()
  local workflow, funcs, uuid = require("workflow"), require("funcs"), require("uuid")
  local info = workflow.info()
  local before = workflow.history_length()
  for i = 1, 3 do
    funcs.async("app:echo", i)
  end
  local after = workflow.history_length()
  local side = workflow.side_effect(function()
    return { n = math.random(1, 1000000), id = uuid.v4() }
  end)
  process.inbox():receive()
  return { info = info, grew = after - before, side = side, size = workflow.history_size(), id = uuid.v4() }
end

-- Calls an activity and a workflow that another SDK supplies.
function M.mixed(queue)
  local funcs, workflow = require("funcs"), require("workflow")
  local remote = funcs.new():with_options({ ["activity.task_queue"] = queue })
  local sum, err = remote:call("python:sum", 1, 2.5)
  if err then
    return nil, err
  end
  local _, refused = remote:call("python:refuse")
  local greeting
  greeting, err = process.with_options({ ["workflow.task_queue"] = queue }):exec("python:greet", "@", "Lua")
  if err then
    return nil, err
  end
  return { sum = sum, greeting = greeting, refused = { refused:kind(), refused:message(), refused:details() } }
end

return M
