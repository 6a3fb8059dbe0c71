-- {limit} gives {now, number fired, when the next is due or -1}: everything that is due happens.
local tm = tag .. ":tm"

local function fire(kind, run, ref, item)
  if call("HGET", key("m", run), "status") ~= "running" then
    return
  end
  if kind == "timer" then
    post_run(run, item)
  elseif kind == "wake" then
    call("HDEL", key("m", run), "delayed")
    schedule(run)
  elseif kind == "run" then
    end_run(run, "timed_out", "time_out", item)
  elseif kind == "again" then
    local id, pid = unpack(call("HMGET", key("m", run), "id", "pid"))
    send_out({id, run, pid, 0, "time_out", item, run .. ":time_out", ""})
  elseif kind == "retry" then
    queue_call(run, ref, item)
  else
    local blob, token = unpack(call("HMGET", key("c", run), ref, ref .. ":t"))
    if blob and not (kind == "start" and token) then
      drop_call(run, ref)
      post_run(run, item)
    end
  end
end

local due = call("ZRANGEBYSCORE", tm, "-inf", text(now), "LIMIT", 0, input[1])
for _, member in ipairs(due) do
  local kind, run, ref = string.match(member, "^(%a+):(.*):(%d+)$")
  local field = kind and kind .. ":" .. ref
  call("ZREM", tm, member)
  local ok, why = guard(function()
    local item = field and call("HGET", key("d", run), field)
    if item then
      call("HDEL", key("d", run), field)
      fire(kind, run, ref, item)
    end
  end)
  if not ok then
    set_run_aside(run, why)
  end
end
local following = call("ZRANGE", tm, 0, 0, "WITHSCORES")
return {text(now), #due, following[2] or "-1"}
