-- {new, request id, watcher field, watcher, conflict policy, reuse policy, messages, terminated outcome, name}
-- returns {what, run id, pid}. what: created, seen or joined; or, if refused: running, used, completed or withdrawn.
local new, request, watcher_field, watcher = input[1], input[2], input[3], input[4]
local conflict, reuse, messages, name = input[5], input[6], input[7], input[9]
local id = new[2]
local mark = "start:" .. request
local run, first = unpack(call("HMGET", key("e", id), "run", "request"))
local status, pid
if run then
  status, pid = unpack(call("HMGET", key("m", run), "status", "pid"))
end

local function watch()
  if watcher ~= "" then
    call("HSET", key("w", id), watcher_field, watcher)
  end
end

if status and (first == request or call("ZSCORE", key("k", id), mark)) then
  return {"seen", run, pid}
end
if call("ZSCORE", key("k", id), "withdrawn:" .. request) then
  return {"withdrawn", "", ""}
end
if status == "running" then
  if conflict == "fail" then
    return {"running", run, pid}
  end
  if conflict ~= "terminate_existing" then
    for _, item in ipairs(messages) do
      call("RPUSH", key("i", run), item)
    end
    seen(id, mark)
    watch()
    if #messages > 0 then
      schedule(run)
    end
    return {"joined", run, pid}
  end
  end_run(run, "terminated", "terminate", input[8])
elseif status then
  if reuse == "reject_duplicate" then
    return {"used", run, pid}
  end
  if reuse == "allow_duplicate_failed_only" and (status == "completed" or status == "continued_as_new") then
    return {"completed", run, pid}
  end
end
create(new)
call("PERSIST", key("k", id))
call("HSET", key("e", id), "request", request)
watch()
if name ~= "" then
  call("HSET", tag .. ":names", name, new[4])
end
return {"created", new[1], new[4]}
