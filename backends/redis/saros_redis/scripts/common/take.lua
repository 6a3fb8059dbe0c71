-- How workers lease entries of the streams.

-- The number of entries that are read at a time: a script reads little more than fits into its reply.
local PAGE = 16

-- New entries of a stream, which no consumer has.
local function fresh(stream, consumer, limit)
  local reply = redis.pcall("XREADGROUP", "GROUP", group, consumer, "COUNT", limit, "STREAMS", stream, ">")
  if type(reply) == "table" and reply.err then
    if lacks_group(reply.err) then
      call("XGROUP", "CREATE", stream, group, "0", "MKSTREAM")
    end
    reply = call("XREADGROUP", "GROUP", group, consumer, "COUNT", limit, "STREAMS", stream, ">")
  end
  return reply and reply[1] and reply[1][2] or {}
end

-- Entries of a stream whose consumers have been silent for `lease` ms.
local function overdue(stream, lease, limit)
  local reply = redis.pcall("XPENDING", stream, group, "IDLE", lease, "-", "+", limit)
  return reply.err and {} or reply
end

-- The lease of an entry that `lease` returns, or nothing. An entry that is not valid is set aside.
local function leased(kind, stream, entry, fields, lease)
  local ok, result = guard(lease, entry, fields)
  if ok then
    return result
  end
  set_aside(kind, stream, entry, fields, result)
  return nil
end

-- Add leases of new entries, up to `limit` and as long as the reply has room; `lease` returns a lease, or nothing.
local function take(kind, leases, stream, wanted, limit, lease)
  while #leases < limit and wanted[9] > 0 do
    local entries = fresh(stream, wanted[1], math.min(limit - #leases, PAGE))
    for _, found in ipairs(entries) do
      table.insert(leases, leased(kind, stream, found[1], found[2], lease))
    end
    if #entries < PAGE then
      break
    end
  end
  return leases
end

local function claim(stream, consumer, entry)
  local reply = call("XCLAIM", stream, group, consumer, 0, entry)
  local found = reply[1]
  if not found or not found[2] then -- deleted while it was pending
    call("XACK", stream, group, entry)
    return nil
  end
  return found
end

-- The mail of a run's next task: at most 500 items that fit into the room of the reply (see take_wanted), but always
-- the first one. The number is limited because what a task records must fit into a commit.
local function next_mails(run, wanted)
  local mails = {}
  repeat
    local page = call("LRANGE", key("i", run), #mails, #mails + PAGE - 1)
    for _, item in ipairs(page) do
      if #item > wanted[9] and #mails > 0 then
        return mails
      end
      wanted[9] = wanted[9] - #item
      table.insert(mails, item)
    end
  until #page < PAGE or #mails >= 500
  return mails
end

-- Lease a run to a worker. `takes` counts how many workers in a row were lost while they had it.
local function lease_run(stream, entry, run, fence, wanted)
  local consumer, most = wanted[1], wanted[8]
  local m = key("m", run)
  local status, sched, own, failures, takes, known, hangs =
    unpack(call("HMGET", m, "status", "sched", "own", "failures", "takes", "fence", "hangs"))
  if status ~= "running" or sched ~= entry then
    drop_entry(stream, entry)
    return nil
  end
  local mails = next_mails(run, wanted)
  if #mails == 0 then
    drop_entry(stream, entry)
    call("HDEL", m, "sched")
    return nil
  end
  takes = tonumber(takes or 0)
  local again = known == fence -- the script was sent again, because its reply was lost
  if not again and takes >= most then
    drop_entry(stream, entry)
    call("HDEL", m, "sched", "fence")
    call("HSET", m, "delayed", "dead", "problem",
      takes .. " workers in a row were lost while they ran its workflow task; it waits to be released")
    note_dead(run)
    return nil
  end
  if not again then
    call("HSET", m, "fence", fence, "takes", takes + 1, "taken", text(now) .. " " .. wanted[10])
  end
  local blob = ""
  if own ~= consumer then
    blob = call("HGET", m, "run")
  end
  return {run, blob, fence, call("LLEN", key("h", run)), tonumber(failures or 0), mails, stream, entry, tonumber(hangs or 0)}
end

local function take_runs(leases, wanted)
  for _, queue in ipairs(wanted[3]) do
    local stream = key("ready", queue)
    take("runs", leases, stream, wanted, wanted[4], function(entry, fields)
      return lease_run(stream, entry, fields[2], wanted[2] .. ":" .. entry, wanted)
    end)
  end
  return leases
end

-- Lease an activity to a worker; `lost` if the worker of the previous attempt was lost.
local function lease_activity(stream, entry, run, ref, token, wanted, lost)
  local most = wanted[8]
  local c = key("c", run)
  local blob, at, attempts, beat, losses, old =
    unpack(call("HMGET", c, ref, ref .. ":e", ref .. ":a", ref .. ":h", ref .. ":l", ref .. ":t"))
  if not blob or string.match(at or "", "^%S+") ~= entry then
    drop_entry(stream, entry)
    return nil
  end
  attempts = tonumber(attempts or 0)
  if lost and old and old ~= token then
    attempts = count_attempt(run, ref)
    if call("HINCRBY", c, ref .. ":l", 1) >= most then
      drop_entry(stream, entry)
      call("HDEL", c, ref .. ":t")
      call("HSET", key("m", run), "problem",
        tonumber(losses or 0) + 1 .. " workers in a row were lost while they ran activity " .. ref .. "; it waits to be released")
      note_dead(run)
      return nil
    end
  end
  call("HSET", c, ref .. ":t", token, ref .. ":s", text(now) .. " " .. wanted[10])
  return {run, blob, ref, token, attempts + 1, beat or "", stream, entry}
end

local function take_activities(leases, wanted)
  for index, queues in ipairs(wanted[5]) do
    local own = {}
    for _, queue in ipairs(queues) do
      local stream = key("act", queue)
      take("activities", own, stream, wanted, wanted[6][index], function(entry, fields)
        local token = wanted[2] .. ":" .. entry
        local lease = lease_activity(stream, entry, fields[2], fields[4], token, wanted, false)
        wanted[9] = wanted[9] - (lease and #lease[2] or 0)
        return lease
      end)
    end
    for _, lease in ipairs(own) do
      table.insert(leases, lease)
    end
  end
  return leases
end

-- Lease an entry of the outbox. Python checks whether it is valid.
local function lease_out(entry, fields, wanted)
  wanted[9] = wanted[9] - #fields[12] -- the body
  return {entry, fields}
end

local function take_out(leases, wanted)
  return take("out", leases, tag .. ":out", wanted, wanted[7], function(entry, fields)
    return lease_out(entry, fields, wanted)
  end)
end

-- Lease the tasks that a worker wants along with the reply to another request; see `Intake` in Python.
-- wanted: {consumer, nonce, run queues, number of runs, activity queues by worker, numbers of activities by worker,
-- number of outbox entries, workers that a task may lose in a row, room, the worker's identity}
-- The room is in bytes and shrinks with each task. Tasks that do not fit wait, because a long reply delays all others.
local function take_wanted(wanted)
  if not wanted then
    return {text(now), {}, {}, {}}
  end
  return {text(now), take_runs({}, wanted), take_activities({}, wanted), take_out({}, wanted)}
end

-- End the lease of a worker that is alive: the task becomes available again, and the worker does not count as lost.
local function return_run(entry, run)
  local m = key("m", run)
  local sched, fence = unpack(call("HMGET", m, "sched", "fence"))
  if sched ~= entry then
    return
  end
  if fence and call("HINCRBY", m, "takes", -1) <= 0 then
    call("HDEL", m, "takes")
  end
  call("HDEL", m, "sched", "fence")
  schedule(run)
end

local function return_activity(entry, run, ref, queue)
  local c = key("c", run)
  if string.match(call("HGET", c, ref .. ":e") or "", "^%S+") == entry then
    call("HDEL", c, ref .. ":t")
    queue_activity(run, ref, queue)
  end
end

-- Move an activity that a lost worker ran within its workflow task to its queue; the lost attempt counts. Returns the
-- number of activities moved.
local function requeue_own(stream, entry, queue)
  local fields = call("XRANGE", stream, entry, entry)
  fields = fields[1] and fields[1][2]
  if not fields then
    call("XACK", stream, group, entry)
    return 0
  end
  local ok, why = guard(function()
    local run, ref = fields[2], fields[4]
    local c = key("c", run)
    if string.match(call("HGET", c, ref .. ":e") or "", "^%S+") == "L" .. entry then
      count_attempt(run, ref)
      call("HINCRBY", c, ref .. ":l", 1)
      call("HDEL", c, ref .. ":t")
      queue_activity(run, ref, queue)
    end
  end)
  if ok then
    drop_entry(stream, entry)
    return 1
  end
  set_aside("own", stream, entry, fields, why)
  return 0
end

-- Give back one entry. kind: runs, activities, own or out; name: the name of the queue.
local function return_entry(kind, name, stream, entry)
  local found = call("XRANGE", stream, entry, entry)[1]
  if not found then
    drop_entry(stream, entry)
    return
  end
  local fields = found[2]
  local ok, why = guard(function()
    if kind == "runs" then
      return_run(entry, fields[2])
    elseif kind == "activities" then
      return_activity(entry, fields[2], fields[4], name)
    elseif kind == "own" then
      return_activity("L" .. entry, fields[2], fields[4], name)
    else
      call("XADD", stream, "*", unpack(fields))
    end
  end)
  if ok then
    drop_entry(stream, entry)
  else
    set_aside(kind, stream, entry, fields, why)
  end
end
