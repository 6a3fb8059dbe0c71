-- The beginning of every script. KEYS[1] is the tag with which every key of one partition begins, so a script touches
-- one hash slot only. ARGV[1] is the msgpack of the arguments, and ARGV[2] the steady time that the worker knows (see
-- below), or -1.
-- A script first reads and decides, then writes, because Redis does not roll back a script.
local tag = KEYS[1]
local group = "saros"
local input = cmsgpack.unpack(ARGV[1])

-- Whether an error means that the group or stream is missing, or that the key has another type.
local function lacks_group(why)
  return string.find(why, "NOGROUP", 1, true) or string.find(why, "WRONGTYPE", 1, true)
end

-- Add a note, which one worker fetches and logs (see "notes").
local function note(what)
  local notes = tag .. ":notes"
  local reply = redis.pcall("RPUSH", notes, what)
  if type(reply) == "table" then
    redis.call("UNLINK", notes)
    redis.call("RPUSH", notes, what)
  end
  redis.call("LTRIM", notes, -100, -1)
end

-- redis.call that sets aside a key of the wrong type and continues without it. Keys of a single run are not set aside,
-- because a run must not continue without its history.
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
      note("the key " .. name .. " has another type than Saros gave it; it was renamed to " .. aside)
    end
  end
  return redis.call(command, ...)
end

-- Whether an error concerns the server as a whole, not the stored data.
local function of_server(why)
  for _, word in ipairs({"OOM", "MISCONF", "READONLY", "NOREPLICAS", "NOPERM", "ACL", "can't run this command",
    "LOADING", "BUSY", "CLUSTERDOWN", "killed"}) do
    if string.find(why, word, 1, true) then
      return true
    end
  end
  return false
end

-- Call a function for one item, so that its bad data does not affect others. Returns true and the result, or false and
-- the reason.
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
local now = clock[1] * 1000000 + clock[2] -- microseconds of the server's clock, not the workers'

local function key(kind, name)
  return tag .. ":" .. kind .. ":" .. name
end

local function text(number)
  return string.format("%.0f", number)
end

-- The steady time, in microseconds: `now` minus the steps by which the server's clock was set (see fire.lua). Deadlines
-- and leases use it; `now` is for people.
local known = tonumber(ARGV[2]) or -1
local AGREE = 1000000
local BEHIND = 10000

-- A whole number of the partition's clocks; 0 if it is garbage, or more than any time or count can be.
local function clock_of(field)
  local value = tonumber(call("HGET", key("x", "steady"), field) or nil) or 0
  return value > -1e16 and value < 1e16 and value % 1 == 0 and value or 0
end

local function counted()
  return now - clock_of("skew")
end

local function steady()
  local at = counted()
  -- The worker's time is the time of its request, which may have arrived late.
  if known >= 0 and (at > known + AGREE or at < known - BEHIND) then
    return known -- the clock was set just now
  end
  return at
end

-- unpack() takes only a few thousand values.
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

-- The index of runs in trouble, by start: x:parked (they have a problem), and x:retrying (see activities.lua).
local function note_trouble(run, trouble)
  local start = call("HGET", key("m", run), "start")
  call("ZADD", key("x", trouble), tonumber(start or "") and start or text(now), run)
end

-- A run that is parked until somebody releases it is in x:dead, too.
local function note_dead(run)
  call("ZADD", key("x", "dead"), text(now), run)
  note_trouble(run, "parked")
end

-- Set aside a broken run until somebody repairs and releases it. Its other entries are dropped when they are read.
local function set_run_aside(run, why)
  local m = key("m", run)
  local ok = guard(function()
    if call("HGET", m, "status") == "running" then
      call("HSET", m, "delayed", "dead", "problem", why .. "; it waits to be released")
      call("HDEL", m, "sched", "fence", "takes")
      note_dead(run)
    end
  end)
  note("run " .. run .. (ok and " was set aside: " or " cannot be read: ") .. why)
end

-- Outbox entries: {id, run, pid, ref, op, body, key, watcher, lane}.
local function put_out(entry)
  call("XADD", tag .. ":out", "*", "i", entry[1], "r", entry[2], "p", entry[3], "f", entry[4], "o", entry[5],
    "b", entry[6], "k", entry[7], "t", entry[8], "l", entry[9])
end

-- Only one entry of a lane is in the stream at a time. In the lane's list, an empty string stands for it, and the
-- waiting entries follow.
local function send_out(entry)
  local lane = entry[9] ~= "" and key("l", entry[9])
  if lane and call("LLEN", lane) > 0 then
    call("RPUSH", lane, cmsgpack.pack(entry))
    return
  end
  if lane then
    call("RPUSH", lane, "")
  end
  put_out(entry)
end

-- Send the next entry of a lane, after one has left the stream for good.
local function advance(lane)
  if lane == "" then
    return
  end
  lane = key("l", lane)
  call("LPOP", lane)
  local following = call("LINDEX", lane, 0)
  if following then
    call("LSET", lane, 0, "")
    put_out(cmsgpack.unpack(following))
  end
end

-- Set aside an entry of a stream that is not valid.
local function set_entry_aside(stream, entry, fields, why)
  call("XADD", tag .. ":aside", "MAXLEN", "~", 1000, "*", "stream", stream, "entry", entry, "why", why,
    unpack(fields, 1, math.min(#fields, 40)))
  if drop_entry(stream, entry) == 1 and fields[17] == "l" then -- of the outbox
    advance(fields[18])
  end
  note("entry " .. entry .. " of " .. stream .. " cannot be read and was moved to " .. tag .. ":aside: " .. why)
end

-- Set aside an entry that does not name a valid run or activity.
local function set_aside(kind, stream, entry, fields, why)
  local run = kind ~= "out" and fields[1] == "r" and fields[2]
  if run and call("EXISTS", key("m", run)) == 1 then
    drop_entry(stream, entry)
    set_run_aside(run, why)
  else
    set_entry_aside(stream, entry, fields, why)
  end
end
