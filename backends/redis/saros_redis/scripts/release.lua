-- {id}: let a dead-lettered execution, and its calls, be tried again; gives 0 when there is nothing to release.
local run = running(input[1])
if not run or call("ZREM", key("x", "dead"), run) == 0 then
  return 0
end
local m = key("m", run)
call("HDEL", m, "problem", "takes", "hangs")
if call("HGET", m, "delayed") == "dead" then
  call("HDEL", m, "delayed")
  schedule(run)
end
local calls = call("HGETALL", key("c", run))
for index = 1, #calls, 2 do
  local ref = string.match(calls[index], "^(%d+):e$")
  if ref then
    local entry, queue = string.match(calls[index + 1], "^(%d+%-%d+) (.*)$")
    call("HDEL", key("c", run), ref .. ":l")
    if entry and #call("XRANGE", key("act", queue), entry, entry) == 0 then
      call("HDEL", key("c", run), ref .. ":t")
      queue_call(run, ref, queue)
    end
  end
end
return 1
