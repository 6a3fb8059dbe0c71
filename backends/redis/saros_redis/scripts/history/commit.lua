-- {commits, wanted}: returns {verdicts, the wanted tasks, entries of leased activities by commit}.
-- A commit: {run, id, fence, expected, consumed, records, size, activities, canceled, asked, deadlines, cleared,
-- outbox, attributes, memo, close, consumer, children, ended, leased, the worker's identity}. The fence is random and
-- used once, so it also identifies the commit when it is repeated.
local function ask_activity(run, ref, item)
  local c = key("c", run)
  local blob, token = unpack(call("HMGET", c, ref, ref .. ":t"))
  if not blob then
    return
  end
  call("HSET", c, ref .. ":x", "1")
  if not token then
    drop_activity(run, ref)
    call("RPUSH", key("i", run), item)
  end
end

local function commit(c)
  local run, fence = c[1], c[3]
  local m, h, i = key("m", run), key("h", run), key("i", run)
  local status, owner, last, verdict, sched, queue, start, size, problem =
    unpack(call("HMGET", m, "status", "fence", "last", "verdict", "sched", "queue", "start", "size", "problem"))
  if last == fence then
    return verdict
  end
  if status ~= "running" or owner ~= fence then
    return "fenced"
  end
  local stream = key("ready", queue)
  call("LLEN", i)
  for _, kind in ipairs({"c", "d"}) do -- find a key of the wrong type before anything is written
    call("HLEN", key(kind, run))
  end
  if call("LLEN", h) ~= c[4] then
    call("HSET", m, "last", fence, "verdict", "conflict")
    call("HDEL", m, "fence", "sched", "takes")
    drop_entry(stream, sched)
    schedule(run)
    return "conflict"
  end
  push_all(h, c[6])
  call("HSET", m, "last", fence, "verdict", "ok", "own", c[17], "size", text((tonumber(size) or 0) + c[7]))
  call("HDEL", m, "fence", "sched", "failures", "hangs", "problem", "parked", "takes")
  if problem then
    call("ZREM", key("x", "parked"), run)
  end
  call("LTRIM", i, c[5], -1)
  drop_entry(stream, sched)
  for _, ref in ipairs(c[12]) do
    disarm(run, "timer", ref)
  end
  for _, ref in ipairs(c[9]) do
    drop_activity(run, ref)
  end
  for _, entry in ipairs(c[13]) do
    send_out(entry)
  end
  for _, task in ipairs(c[8]) do
    queue_activity(run, task[1], task[2], task[1], task[3])
  end
  for _, own in ipairs(c[20]) do
    lease_own(run, own[1], own[2], own[3], own[4], c[17], c[21])
  end
  for _, asked in ipairs(c[10]) do
    ask_activity(run, asked[1], asked[2])
  end
  if #c[11] > 0 then
    local from = steady()
    for _, deadline in ipairs(c[11]) do
      arm(run, deadline[1], deadline[2], from + deadline[3], deadline[4])
    end
  end
  for _, attribute in ipairs(c[14]) do
    set_attribute(run, start, attribute[1], attribute[2], attribute[3])
  end
  for _, item in ipairs(c[15]) do
    set_memo(run, item[1], item[2])
  end
  for _, child in ipairs(c[18]) do
    call("HSET", key("ch", run), child[1], child[2])
  end
  for _, ref in ipairs(c[19]) do
    call("HDEL", key("ch", run), ref)
  end
  local close = c[16]
  if close and close[1] then
    close_run(run, close[1], close[2], close[3])
  else
    if call("EXISTS", i) == 1 then
      schedule(run)
    end
    call("PUBLISH", key("ev", run), "running")
  end
  return "ok"
end

-- The entries of a commit's leased activities, also for a commit that is repeated.
local function leased_by(c)
  local entries = {}
  for index, own in ipairs(c[20]) do
    local at, token = unpack(call("HMGET", key("c", c[1]), own[1] .. ":e", own[1] .. ":t"))
    entries[index] = token == own[4] and string.match(at, "^L(%S+)") or ""
  end
  return entries
end

local verdicts, entries = {}, {}
for index, each in ipairs(input[1]) do
  local ok, found = guard(commit, each)
  verdicts[index] = ok and found or "fenced"
  if not ok then
    set_run_aside(each[1], found)
  end
  entries[index] = verdicts[index] == "ok" and leased_by(each) or {}
end
return {verdicts, take_wanted(input[2]), entries}
