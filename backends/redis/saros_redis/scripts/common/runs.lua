-- Operations on runs: their mail, deadlines, outbox entries and attributes.
-- A run is in the ready stream at most once. `sched` is its entry there, even while a worker has leased it.
local function schedule(run)
  local m = key("m", run)
  local status, sched, delayed, queue = unpack(call("HMGET", m, "status", "sched", "delayed", "queue"))
  if status == "running" and not sched and not delayed then
    call("HSET", m, "sched", call("XADD", key("ready", queue), "*", "r", run))
  end
end

local function enqueue(run, item)
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

-- Whether a mail or request with this key has arrived before. Only the newest keys of an execution are kept.
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

-- The run that a start request has created, if it is running. A request that has not been carried out yet is withdrawn
-- instead, by a mark among the keys of its execution, which may never exist.
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

-- A deadline is a member of the partition's `tm`, with its payload in the run's `d`. Both begin with a serial number,
-- so Redis keeps deadlines of the same time in the order in which they were set.
local DIGITS = 16

local function arm(run, kind, ref, due, item)
  local set = clock_of("set")
  local number = string.format("%016.0f", (set > 0 and set or now) + 1) -- never one that was used before
  call("HSET", key("x", "steady"), "set", number)
  call("ZADD", tag .. ":tm", text(due), number .. ":" .. kind .. ":" .. run .. ":" .. ref)
  call("HSET", key("d", run), kind .. ":" .. ref, number .. item)
end

-- The member of a deadline whose field in `d` holds `item`.
local function member_of(run, field, item)
  local kind, ref = string.match(field, "^(%a+):(%d+)$")
  return kind and string.sub(item, 1, DIGITS) .. ":" .. kind .. ":" .. run .. ":" .. ref
end

-- The time at which a deadline is due; nil if there is none.
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

-- End a run's wait for its start.
local function wake(run)
  if call("HGET", key("m", run), "delayed") == "start" then
    call("HDEL", key("m", run), "delayed")
    disarm(run, "wake", 0)
    schedule(run)
  end
end

-- Search attributes: {name, JSON, terms}. The index for equality has one key for each term; terms are separated by
-- newlines.
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
