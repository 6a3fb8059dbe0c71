-- {limit, 1 if in doubt}: fire due deadlines, at most `limit`. Returns {now, number fired, when the next is due or -1,
-- steady time, skew, new}. All times except `now` are steady times.
--
-- A server's clock may be set, or a replica with another clock may take over. A worker measures by its own clock how
-- much time has passed, and a deadline is due only when both clocks say so. When the two diverge, the worker changes
-- the skew (shift.lua). `seen` is a recent time at which both agreed; the steady clock never falls behind it, even while
-- no worker is running.
local tm, clocks = tag .. ":tm", key("x", "steady")
-- `new` is BACK if the server's clock was set back, so all leases must be renewed. It is DOUBT if that clock may be far
-- ahead and other workers, which were alive when it was last agreed on, can tell. A worker that has just started then
-- gives them time to report.
local NOTE, NEAR, BACK, DOUBT = 5000000, 10000000, 1, 2

local at, new = counted(), 0
local seen = clock_of("seen")
if known < 0 and at < seen then
  call("HSET", clocks, "skew", text(clock_of("skew") + at - seen))
  at, new = seen, BACK
elseif known < 0 and seen > 0 and at - seen > NEAR
  and (input[2] == 1 or call("ZCOUNT", tag .. ":nodes", "(" .. text(seen), text(at)) > 0) then
  new = DOUBT
elseif math.abs(known - at) < AGREE and (at - seen > NOTE or at < seen) then
  call("HSET", clocks, "seen", text(at))
end

local function fire(kind, run, ref, item)
  if call("HGET", key("m", run), "status") ~= "running" then
    return
  end
  if kind == "timer" then
    enqueue(run, item)
  elseif kind == "wake" then
    call("HDEL", key("m", run), "delayed")
    schedule(run)
  elseif kind == "run" or kind == "total" then
    end_run(run, "timed_out", "time_out", item)
  elseif kind == "again" then
    local id, pid = unpack(call("HMGET", key("m", run), "id", "pid"))
    send_out({id, run, pid, 0, "time_out", item, run .. ":time_out", "", ""})
  elseif kind == "retry" then
    queue_activity(run, ref, item)
  else
    local blob, token = unpack(call("HMGET", key("c", run), ref, ref .. ":t"))
    if blob and not (kind == "start" and token) then
      drop_activity(run, ref)
      enqueue(run, item)
    end
  end
end

local due = call("ZRANGEBYSCORE", tm, "-inf", text(math.min(at, known)), "LIMIT", 0, input[1])
for _, member in ipairs(due) do
  local number, kind, run, ref = string.match(member, "^(%d+):(%a+):(.*):(%d+)$")
  local field = kind and kind .. ":" .. ref
  call("ZREM", tm, member)
  local ok, why = guard(function()
    local item = field and call("HGET", key("d", run), field)
    if item and string.sub(item, 1, DIGITS) == number then -- otherwise it was set again
      call("HDEL", key("d", run), field)
      fire(kind, run, ref, string.sub(item, DIGITS + 1))
    end
  end)
  if not ok then
    set_run_aside(run, why)
  end
end
local following = call("ZRANGE", tm, 0, 0, "WITHSCORES")
return {text(now), #due, following[2] or "-1", text(at), text(clock_of("skew")), new}
