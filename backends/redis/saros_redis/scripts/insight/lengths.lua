-- {queues}: returns for each queue {workflow tasks that no worker has, entry of the oldest or "", and the same two for
-- activities}.
local function length(stream)
  local held = redis.pcall("XPENDING", stream, group)
  local waiting = call("XLEN", stream) - (held.err and 0 or held[1])
  if waiting <= 0 then
    return 0, ""
  end
  local groups = redis.pcall("XINFO", "GROUPS", stream)
  local last = "0-0"
  for _, fields in ipairs(groups.err and {} or groups) do
    for index = 1, #fields, 2 do
      if fields[index] == "last-delivered-id" then
        last = fields[index + 1]
      end
    end
  end
  local oldest = call("XRANGE", stream, "(" .. last, "+", "COUNT", 1)[1]
  return waiting, oldest and oldest[1] or ""
end

local found = {}
for _, queue in ipairs(input[1]) do
  local runs, oldest_run = length(key("ready", queue))
  local activities, oldest_activity = length(key("act", queue))
  table.insert(found, {runs, oldest_run, activities, oldest_activity})
end
return found
