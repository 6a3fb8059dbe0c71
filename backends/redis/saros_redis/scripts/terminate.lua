-- {id, run id or "", outcome, operation}: end a run; gives 0 when it does not run.
local id, only, outcome, operation = input[1], input[2], input[3], input[4]
local run = only ~= "" and only or call("HGET", key("e", id), "run")
if not run then
  return 0
end
local found, status, last = unpack(call("HMGET", key("m", run), "id", "status", "ended"))
if found ~= id then
  return 0
end
if last == operation then
  return 1
end
if status ~= "running" then
  return 0
end
call("HSET", key("m", run), "ended", operation)
end_run(run, "terminated", "terminate", outcome)
return 1
