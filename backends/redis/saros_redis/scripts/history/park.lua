-- {run, fence, problem, delay in microseconds, hung}: park a run whose task has failed. Its mail stays. A negative
-- delay sets the run aside until it is released.
local run, fence, delay = input[1], input[2], input[4]
local m = key("m", run)
local owner, sched, queue = unpack(call("HMGET", m, "fence", "sched", "queue"))
if owner ~= fence then
  return 0
end
call("HSET", m, "problem", input[3], "delayed", delay < 0 and "dead" or "1", "last", fence, "verdict", "fenced")
note_trouble(run, "parked")
call("HINCRBY", m, "failures", 1)
call("HSETNX", m, "parked", text(now))
if input[5] then
  call("HINCRBY", m, "hangs", 1)
end
call("HDEL", m, "fence", "sched", "takes")
drop_entry(key("ready", queue), sched)
if delay < 0 then
  call("ZADD", key("x", "dead"), text(now), run)
else
  arm(run, "wake", 0, steady() + delay, "")
end
return 1
