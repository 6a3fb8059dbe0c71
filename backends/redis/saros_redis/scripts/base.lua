-- What every script begins with. KEYS[1] is the tag of one partition, which every key of that partition
-- starts with, so that one script touches one hash slot; ARGV[1] is the msgpack of the arguments, and ARGV[2] the
-- steady time that the worker knows (see below), or -1.
-- A script first reads and decides, then writes: Redis does not roll a script back.
local tag = KEYS[1]
local group = "saros"
local input = cmsgpack.unpack(ARGV[1])

-- Whether an error says that there is no group yet, or no stream, or something else in its place.
local function lacks_group(why)
  return string.find(why, "NOGROUP", 1, true) or string.find(why, "WRONGTYPE", 1, true)
end

-- What is told to people once, by whichever worker asks first (see "notes").
local function note(what)
  local notes = tag .. ":notes"
  local reply = redis.pcall("RPUSH", notes, what)
  if type(reply) == "table" then
    redis.call("UNLINK", notes)
    redis.call("RPUSH", notes, what)
  end
  redis.call("LTRIM", notes, -100, -1)
end

-- redis.call, which puts a key aside that is not of the type that Saros gave it, and goes on without it. Not that
-- of a single run: without its history, a run must not go on.
local of_a_run = {m = true, h = true, i = true, c = true, d = true}
local key_of = {XREADGROUP = 7, XGROUP = 2, XINFO = 2}
local function call(command, ...)
  local reply = redis.pcall(command, ...)
  if type(reply) ~= "table" or not reply.err then
    return reply
  end
  if string.find(reply.err, "WRONGTYPE", 1, true) then
    local name = select(key_of[command] or 1, ...)
    local rest = string.sub(name, #tag + 2)
    if not of_a_run[string.match(rest, "^%a*")] then
      local aside = tag .. ":aside:" .. rest
      redis.call("RENAME", name, aside)
      note("the key " .. name .. " is not of the type that Saros gives it, and is " .. aside .. " now")
    end
  end
  return redis.call(command, ...)
end

-- Whether an error is one of the server, which concerns all, and not one of what is stored.
local function of_server(why)
  for _, word in ipairs({"OOM", "MISCONF", "READONLY", "NOREPLICAS", "NOPERM", "ACL", "can't run this command",
    "LOADING", "BUSY", "CLUSTERDOWN", "killed"}) do
    if string.find(why, word, 1, true) then
      return true
    end
  end
  return false
end

-- Do something for one item, whose garbage must not concern others: gives true and its result, or false and why not.
local function guard(work, ...)
  local ok, result = pcall(work, ...)
  if ok then
    return true, result
  end
  local why = type(result) == "table" and result.err or tostring(result)
  if of_server(why) then
    error(result, 0)
  end
  return false, string.gsub(string.gsub(why, "^.-user_script:%d+: ", ""), " script: .*$", "")
end

local clock = call("TIME")
local now = clock[1] * 1000000 + clock[2] -- microseconds; workers' clocks do not count

local function key(kind, name)
  return tag .. ":" .. kind .. ":" .. name
end

local function text(number)
  return string.format("%.0f", number)
end

-- Microseconds of a clock that only goes on: `now` less what the server's clock was set by (see fire.lua). All that
-- has to happen later, and all that counts for some time, goes by it; `now` is for people to read.
local known = tonumber(ARGV[2]) or -1
local AGREE = 1000000

local function counted()
  return now - (tonumber(call("HGET", key("x", "steady"), "skew")) or 0)
end

local function steady()
  local at = counted()
  if known >= 0 and math.abs(known - at) > AGREE then
    return known -- the clock was set just now
  end
  return at
end

-- unpack() has room for some thousand values only.
local function push_all(list, items)
  for first = 1, #items, 1000 do
    call("RPUSH", list, unpack(items, first, math.min(first + 999, #items)))
  end
end

-- XACK does not delete and XDEL does not acknowledge.
local function drop_entry(stream, entry)
  call("XACK", stream, group, entry)
  return call("XDEL", stream, entry)
end

-- A run that is broken waits until somebody has repaired it and releases it; its other entries are dropped when read.
local function set_run_aside(run, why)
  local m = key("m", run)
  local ok = guard(function()
    if call("HGET", m, "status") == "running" then
      call("HSET", m, "delayed", "dead", "problem", why .. "; it waits to be released")
      call("HDEL", m, "sched", "fence", "takes")
      call("ZADD", key("x", "dead"), text(now), run)
    end
  end)
  note("run " .. run .. (ok and " is set aside: " or " cannot be read: ") .. why)
end

-- An entry of a stream that cannot be what it says.
local function set_entry_aside(stream, entry, fields, why)
  call("XADD", tag .. ":aside", "MAXLEN", "~", 1000, "*", "stream", stream, "entry", entry, "why", why,
    unpack(fields, 1, math.min(#fields, 40)))
  drop_entry(stream, entry)
  note("entry " .. entry .. " of " .. stream .. " cannot be read, and is in " .. tag .. ":aside now: " .. why)
end

-- What a lease of a run or an activity could not be made of.
local function set_aside(kind, stream, entry, fields, why)
  local run = kind ~= "out" and fields[1] == "r" and fields[2]
  if run and call("EXISTS", key("m", run)) == 1 then
    drop_entry(stream, entry)
    set_run_aside(run, why)
  else
    set_entry_aside(stream, entry, fields, why)
  end
end

-- A run waits in the ready stream at most once: `sched` is its entry there, also while a worker has it.
local function schedule(run)
  local m = key("m", run)
  local status, sched, delayed, queue = unpack(call("HMGET", m, "status", "sched", "delayed", "queue"))
  if status == "running" and not sched and not delayed then
    call("HSET", m, "sched", call("XADD", key("ready", queue), "*", "r", run))
  end
end

local function post_run(run, item)
  call("RPUSH", key("i", run), item)
  schedule(run)
end

-- The newest run of an execution, if it is running.
local function running(id)
  local run = call("HGET", key("e", id), "run")
  if run and call("HGET", key("m", run), "status") == "running" then
    return run
  end
end

-- Whether a mail or request with this key came before. Only the newest keys of an execution are kept.
local function seen(id, mark)
  local marks = key("k", id)
  if call("ZADD", marks, "NX", text(steady()), mark) == 0 then
    return true
  end
  if call("ZCARD", marks) > 10000 then
    call("ZPOPMIN", marks, 1000)
  end
  return false
end

-- The run that a start request has made, when it is running. A request that has yet to be carried out is withdrawn
-- instead, by a mark among the keys of an execution that may not be there yet, nor ever.
local function made(id, request)
  local run, first = unpack(call("HMGET", key("e", id), "run", "request"))
  if run and first == request then
    return running(id)
  end
  local marks = key("k", id)
  if not call("ZSCORE", marks, "start:" .. request) then
    seen(id, "withdrawn:" .. request)
    if not run then
      call("EXPIRE", marks, 604800)
    end
  end
end

-- Deadlines: a member of the partition's `tm`, with what it brings in the run's `d`. Both begin with a number, by
-- which Redis orders those that are due at the same time: as they were set.
local DIGITS = 16

local function arm(run, kind, ref, due, item)
  local number = string.format("%016.0f", call("HINCRBY", key("x", "steady"), "set", 1))
  call("ZADD", tag .. ":tm", text(due), number .. ":" .. kind .. ":" .. run .. ":" .. ref)
  call("HSET", key("d", run), kind .. ":" .. ref, number .. item)
end

-- The member of a deadline whose field in `d` holds `item`.
local function member_of(run, field, item)
  local kind, ref = string.match(field, "^(%a+):(%d+)$")
  return kind and string.sub(item, 1, DIGITS) .. ":" .. kind .. ":" .. run .. ":" .. ref
end

-- When a deadline is due; nil when there is none.
local function due_at(run, kind, ref)
  local field = kind .. ":" .. ref
  local item = call("HGET", key("d", run), field)
  return item and tonumber(call("ZSCORE", tag .. ":tm", member_of(run, field, item)) or nil)
end

local function disarm(run, kind, ref)
  local d, field = key("d", run), kind .. ":" .. ref
  local item = call("HGET", d, field)
  if item then
    call("HDEL", d, field)
    call("ZREM", tag .. ":tm", member_of(run, field, item))
  end
end

-- A run that waits for its start need not any longer.
local function wake(run)
  if call("HGET", key("m", run), "delayed") == "start" then
    call("HDEL", key("m", run), "delayed")
    disarm(run, "wake", 0)
    schedule(run)
  end
end

-- Activities: the fields of activity n in the run's `c` are "n" (the task), "n:e" (its entry and queue), "n:t" (the
-- token of the attempt that runs), "n:a" (attempts before), "n:h" (heartbeat), "n:x" (cancelled), "n:l" (lost).
-- An activity that a worker began within its workflow task waits in no queue: its entry, which begins with "L" in "n:e",
-- is in the stream `loc`, which nobody reads. It is there to be leased, and goes to the queue when its worker is lost.
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

local function lease_own(run, ref, queue, task, token, consumer)
  local stream = key("loc", queue)
  local entry = call("XADD", stream, "*", "r", run, "f", ref)
  local reply = redis.pcall("XCLAIM", stream, group, consumer, 0, entry, "FORCE", "JUSTID")
  if reply.err then
    if lacks_group(reply.err) then
      call("XGROUP", "CREATE", stream, group, "0")
    end
    call("XCLAIM", stream, group, consumer, 0, entry, "FORCE", "JUSTID")
  end
  call("HSET", key("c", run), ref .. ":e", "L" .. entry .. " " .. queue, ref, task, ref .. ":t", token)
end

local function drop_activity(run, ref, at)
  drop_activity_entry(at or call("HGET", key("c", run), ref .. ":e"))
  call("HDEL", key("c", run), ref, ref .. ":e", ref .. ":t", ref .. ":a", ref .. ":h", ref .. ":x", ref .. ":l")
  if call("EXISTS", key("d", run)) == 1 then
    disarm(run, "start", ref)
    disarm(run, "close", ref)
    disarm(run, "retry", ref)
  end
end

-- An outbox entry: {id, run, pid, ref, op, body, key, watcher}.
local function send_out(entry)
  call("XADD", tag .. ":out", "*", "i", entry[1], "r", entry[2], "p", entry[3], "f", entry[4], "o", entry[5],
    "b", entry[6], "k", entry[7], "t", entry[8])
end

-- Search attributes: {name, JSON, terms}; the terms, one a line, are what equality can look up.
local function index_terms(run, start, name, terms, add)
  for term in string.gmatch(terms, "[^\n]+") do
    local index = key("x", "attr:" .. name .. "=" .. term)
    if add then
      call("ZADD", index, start, run)
    else
      call("ZREM", index, run)
    end
  end
end

local function set_attribute(run, start, name, json, terms)
  local m = key("m", run)
  local old = call("HGET", m, "term:" .. name)
  if old then
    index_terms(run, start, name, old, false)
  end
  if json == "null" then
    call("HDEL", m, "attr:" .. name, "term:" .. name)
  else
    call("HSET", m, "attr:" .. name, json, "term:" .. name, terms)
    index_terms(run, start, name, terms, true)
  end
end

local function set_memo(run, name, json)
  if json == "null" then
    call("HDEL", key("m", run), "memo:" .. name)
  else
    call("HSET", key("m", run), "memo:" .. name, json)
  end
end
