-- How workers lease entries of the streams.

-- Entries nobody has yet, and entries whose consumer has not been heard of for `lease` ms (when that is given).
-- An entry that outlived several workers may have killed them, so at most one such is tried at a time.
local function fresh(stream, consumer, limit)
  local reply = redis.pcall("XREADGROUP", "GROUP", group, consumer, "COUNT", limit, "STREAMS", stream, ">")
  if type(reply) == "table" and reply.err then
    call("XGROUP", "CREATE", stream, group, "0", "MKSTREAM")
    reply = call("XREADGROUP", "GROUP", group, consumer, "COUNT", limit, "STREAMS", stream, ">")
  end
  return reply and reply[1] and reply[1][2] or {}
end

local function overdue(stream, lease, limit)
  local reply = redis.pcall("XPENDING", stream, group, "IDLE", lease, "-", "+", limit)
  return reply.err and {} or reply
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

-- A run for its worker; takes counts the workers that never came back with it.
local function lease_run(stream, entry, run, fence, consumer, most)
  local m = key("m", run)
  local status, sched, own, failures, takes, known =
    unpack(call("HMGET", m, "status", "sched", "own", "failures", "takes", "fence"))
  if status ~= "running" or sched ~= entry then
    drop_entry(stream, entry)
    return nil
  end
  local mails = call("LRANGE", key("i", run), 0, 499)
  if #mails == 0 then
    drop_entry(stream, entry)
    call("HDEL", m, "sched")
    return nil
  end
  local again = known == fence -- a script that is sent again, because its reply was lost
  if not again and tonumber(takes or 0) >= most then
    drop_entry(stream, entry)
    call("HDEL", m, "sched", "fence")
    call("HSET", m, "delayed", "dead", "problem",
      takes .. " workers in a row were lost while they ran its workflow task; it waits to be released")
    call("ZADD", key("x", "dead"), text(now), run)
    return nil
  end
  if not again then
    call("HSET", m, "fence", fence)
    call("HINCRBY", m, "takes", 1)
  end
  local blob = ""
  if own ~= consumer then
    blob = call("HGET", m, "run")
  end
  return {run, blob, fence, call("LLEN", key("h", run)), tonumber(failures or 0), mails, stream, entry}
end

local function take_runs(leases, queues, consumer, nonce, limit, most)
  for _, queue in ipairs(queues) do
    local stream = key("ready", queue)
    if #leases < limit then
      for _, found in ipairs(fresh(stream, consumer, limit - #leases)) do
        local fence = nonce .. ":" .. found[1]
        table.insert(leases, lease_run(stream, found[1], found[2][2], fence, consumer, most))
      end
    end
  end
  return leases
end

-- A call for its worker; `lost` when the attempt before never came back.
local function lease_call(stream, entry, run, ref, token, most, lost)
  local c = key("c", run)
  local blob, at, attempts, beat, losses, old =
    unpack(call("HMGET", c, ref, ref .. ":e", ref .. ":a", ref .. ":h", ref .. ":l", ref .. ":t"))
  if not blob or string.match(at or "", "^%S+") ~= entry then
    drop_entry(stream, entry)
    return nil
  end
  attempts = tonumber(attempts or 0)
  if lost and old and old ~= token then
    attempts = call("HINCRBY", c, ref .. ":a", 1)
    if call("HINCRBY", c, ref .. ":l", 1) >= most then
      drop_entry(stream, entry)
      call("HDEL", c, ref .. ":t")
      call("HSET", key("m", run), "problem",
        tonumber(losses or 0) + 1 .. " workers in a row were lost while they ran call " .. ref .. "; it waits to be released")
      call("ZADD", key("x", "dead"), text(now), run)
      return nil
    end
  end
  call("HSET", c, ref .. ":t", token)
  return {run, blob, ref, token, attempts + 1, beat or "", stream, entry}
end

local function take_calls(leases, queues, consumer, nonce, limit, most)
  for _, queue in ipairs(queues) do
    local stream = key("act", queue)
    if #leases < limit then
      for _, found in ipairs(fresh(stream, consumer, limit - #leases)) do
        local run, ref, token = found[2][2], found[2][4], nonce .. ":" .. found[1]
        table.insert(leases, lease_call(stream, found[1], run, ref, token, most, false))
      end
    end
  end
  return leases
end

local function take_out(leases, consumer, limit)
  local stream = tag .. ":out"
  if limit > 0 then
    for _, found in ipairs(fresh(stream, consumer, limit)) do
      table.insert(leases, {found[1], found[2]})
    end
  end
  return leases
end

-- What a worker would like to have along with the reply to something else; see `Wanted` in Python.
-- wanted: {consumer, nonce, run queues, runs, call queues, calls, outbox, most}
local function take_wanted(wanted)
  if not wanted then
    return {text(now), {}, {}, {}}
  end
  local consumer, nonce, most = wanted[1], wanted[2], wanted[8]
  return {
    text(now),
    take_runs({}, wanted[3], consumer, nonce, wanted[4], most),
    take_calls({}, wanted[5], consumer, nonce, wanted[6], most),
    take_out({}, consumer, wanted[7]),
  }
end

-- A lease that ends although its worker lives: the task waits again, and the worker does not count as lost with it.
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

local function return_call(entry, run, ref, queue)
  local c = key("c", run)
  if string.match(call("HGET", c, ref .. ":e") or "", "^%S+") == entry then
    call("HDEL", c, ref .. ":t")
    queue_call(run, ref, queue)
  end
end

-- kind: runs, calls or out; name: of the queue.
local function return_entry(kind, name, stream, entry)
  local found = call("XRANGE", stream, entry, entry)[1]
  drop_entry(stream, entry)
  if not found then
    return
  end
  local fields = found[2]
  if kind == "runs" then
    return_run(entry, fields[2])
  elseif kind == "calls" then
    return_call(entry, fields[2], fields[4], name)
  else
    call("XADD", stream, "*", unpack(fields))
  end
end
