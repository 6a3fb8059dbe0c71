-- {run, fence, problem, delay in microseconds}: the run's task failed; its mail stays.
local run, fence = input[1], input[2]
local m = key("m", run)
local owner, sched, queue = unpack(call("HMGET", m, "fence", "sched", "queue"))
if owner ~= fence then
  return 0
end
call("HSET", m, "problem", input[3], "delayed", "1", "last", fence, "verdict", "fenced")
call("HINCRBY", m, "failures", 1)
call("HDEL", m, "fence", "sched", "takes")
drop_entry(key("ready", queue), sched)
arm(run, "wake", 0, now + input[4], "")
return 1
