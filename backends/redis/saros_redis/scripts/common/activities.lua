-- Activities: the fields of activity n in the run's `c` are "n" (the task), "n:e" (its entry and queue), "n:t" (the
-- token of the running attempt), "n:a" (earlier attempts), "n:h" (heartbeat), "n:x" (cancelled), "n:l" (lost workers);
-- and for people "n:s" (when and to whom that attempt was leased), "n:f" (the last failure), "n:b" (when "n:h" was
-- recorded). An activity that a worker began within its workflow task is in no queue: its entry, which begins with "L"
-- in "n:e", is in the stream `loc`, which no worker reads. The entry only carries the lease, and the activity goes to
-- its queue when the worker is lost.
local function drop_activity_entry(at)
  local own, entry, queue = string.match(at or "", "^(L?)(%d+%-%d+) (.*)$")
  if entry then
    drop_entry(key(own == "" and "act" or "loc", queue), entry)
  end
end

local function queue_activity(run, ref, queue, ...)
  local entry = call("XADD", key("act", queue), "*", "r", run, "f", ref)
  call("HSET", key("c", run), ref .. ":e", entry .. " " .. queue, ...)
end

local function lease_own(run, ref, queue, task, token, consumer, holder)
  local stream = key("loc", queue)
  local entry = call("XADD", stream, "*", "r", run, "f", ref)
  local reply = redis.pcall("XCLAIM", stream, group, consumer, 0, entry, "FORCE", "JUSTID")
  if reply.err then
    if lacks_group(reply.err) then
      call("XGROUP", "CREATE", stream, group, "0")
    end
    call("XCLAIM", stream, group, consumer, 0, entry, "FORCE", "JUSTID")
  end
  call("HSET", key("c", run), ref .. ":e", "L" .. entry .. " " .. queue, ref, task, ref .. ":t", token,
    ref .. ":s", text(now) .. " " .. holder)
end

-- Count an attempt that has failed or was lost. `retrying` is the number of open activities that have such attempts; the
-- runs that have such activities are in x:retrying.
local function count_attempt(run, ref)
  local attempts = call("HINCRBY", key("c", run), ref .. ":a", 1)
  if attempts == 1 and call("HINCRBY", key("m", run), "retrying", 1) == 1 then
    note_trouble(run, "retrying")
  end
  return attempts
end

local function drop_activity(run, ref, at)
  drop_activity_entry(at or call("HGET", key("c", run), ref .. ":e"))
  if call("HDEL", key("c", run), ref .. ":a") == 1 and call("HINCRBY", key("m", run), "retrying", -1) <= 0 then
    call("HDEL", key("m", run), "retrying")
    call("ZREM", key("x", "retrying"), run)
  end
  call("HDEL", key("c", run), ref, ref .. ":e", ref .. ":t", ref .. ":h", ref .. ":x", ref .. ":l",
    ref .. ":s", ref .. ":f", ref .. ":b")
  if call("EXISTS", key("d", run)) == 1 then
    disarm(run, "start", ref)
    disarm(run, "close", ref)
    disarm(run, "retry", ref)
  end
end
