-- Shows outsiders a program's handlers and where its coroutines wait.
local rt = ...
rt.lasting()
local raw = rt.raw
local next, sort = raw.next, raw.table.sort

local function names(found)
  local list = {}
  for name in next, found or {} do
    list[#list + 1] = name
  end
  sort(list)
  return list
end

return function()
  local stacks, waits = {}, {}
  for i, task in raw.ipairs(rt.blocked_tasks()) do
    stacks[i], waits[i] = rt.traceback(task.co), task.awaits or 0
  end
  return rt.encode({
    queries = names(rt.queries),
    updates = names(rt.updates),
    topics = names(rt.topics and rt.topics()),
    stacks = stacks,
    waits = waits,
  }, "inspection")
end
