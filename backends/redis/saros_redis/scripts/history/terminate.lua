-- {id, run id or "", outcome, operation, start request or ""}: end a run; returns 0 if it is not running.
local id, only, outcome, operation, request = input[1], input[2], input[3], input[4], input[5]
local run = only ~= "" and only or call("HGET", key("e", id), "run")
if request ~= "" and not made(id, request) then
  return 0
end
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
