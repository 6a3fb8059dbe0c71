-- {id}: retry an execution that was set aside, and its activities; returns 0 if there is nothing to release.
local run = running(input[1])
if not run or call("ZREM", key("x", "dead"), run) == 0 then
  return 0
end
local m = key("m", run)
call("HDEL", m, "problem", "parked", "takes", "hangs")
if call("HGET", m, "delayed") == "dead" then
  call("HDEL", m, "delayed")
  schedule(run)
end
local activities = call("HGETALL", key("c", run))
for index = 1, #activities, 2 do
  local ref = string.match(activities[index], "^(%d+):e$")
  if ref then
    local entry, queue = string.match(activities[index + 1], "^(%d+%-%d+) (.*)$")
    call("HDEL", key("c", run), ref .. ":l")
    if entry and #call("XRANGE", key("act", queue), entry, entry) == 0 then
      call("HDEL", key("c", run), ref .. ":t")
      queue_activity(run, ref, queue)
    end
  end
end
return 1
