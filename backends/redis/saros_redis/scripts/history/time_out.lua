-- {id, run id, outcome, following run or nil}: end a run as timed out; returns 0 if it has already ended.
local run = input[2]
local id, status = unpack(call("HMGET", key("m", run), "id", "status"))
if id ~= input[1] or status ~= "running" then
  return 0
end
end_run(run, "timed_out", "time_out", input[3], input[4] or nil)
return 1
