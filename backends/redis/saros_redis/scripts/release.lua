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
  local ref = string.match(calls[index], "^(%d+):l$")
  if ref then
    local at, token = unpack(call("HMGET", key("c", run), ref .. ":e", ref .. ":t"))
    call("HDEL", key("c", run), ref .. ":l")
    if at and not token then
      queue_call(run, ref, string.match(at, " (.*)$"))
    end
  end
end
return 1
