-- {id}: retry an execution that was set aside, and its activities, and attempt now what waits for a retry; returns 0 if
-- there is nothing of both.
local run = running(input[1])
if not run then
  return 0
end
local m, d = key("m", run), key("d", run)
local hurried = 0
for _, field in ipairs(call("HKEYS", d)) do
  local ref = string.match(field, "^retry:(%d+)$")
  if ref then
    local queue = string.sub(call("HGET", d, field), DIGITS + 1)
    disarm(run, "retry", ref)
    queue_activity(run, ref, queue)
    hurried = 1
  end
end
if call("ZREM", key("x", "dead"), run) == 0 then
  if call("HGET", m, "delayed") == "1" then -- parked: its next try comes now
    disarm(run, "wake", "0")
    call("HDEL", m, "delayed")
    schedule(run)
    hurried = 1
  end
  return hurried
end
call("HDEL", m, "problem", "parked", "takes", "hangs")
call("ZREM", key("x", "parked"), run)
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
