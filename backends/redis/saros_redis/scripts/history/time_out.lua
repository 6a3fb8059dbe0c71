-- {id, run id, outcome, following or nil}: end a run that took too long; returns 0 if it has ended.
local run = input[2]
local id, status = unpack(call("HMGET", key("m", run), "id", "status"))
if id ~= input[1] or status ~= "running" then
  return 0
end
end_run(run, "timed_out", "time_out", input[3], input[4] or nil)
return 1
