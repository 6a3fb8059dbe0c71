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
local BEHIND = 10000

local function counted()
  return now - (tonumber(call("HGET", key("x", "steady"), "skew")) or 0)
end

local function steady()
  local at = counted()
  -- What the worker knows was so when it sent this, which may have been under way for a while.
  if known >= 0 and (at > known + AGREE or at < known - BEHIND) then
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

-- Outbox entries: {id, run, pid, ref, op, body, key, watcher, lane}.
local function put_out(entry)
  call("XADD", tag .. ":out", "*", "i", entry[1], "r", entry[2], "p", entry[3], "f", entry[4], "o", entry[5],
    "b", entry[6], "k", entry[7], "t", entry[8], "l", entry[9])
end

-- One entry of a lane is in the stream at a time. The others wait in the lane's list, behind an empty text for it.
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

-- The entry of a lane that was under way has left the stream for good.
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

-- An entry of a stream that cannot be what it says.
local function set_entry_aside(stream, entry, fields, why)
  call("XADD", tag .. ":aside", "MAXLEN", "~", 1000, "*", "stream", stream, "entry", entry, "why", why,
    unpack(fields, 1, math.min(#fields, 40)))
  if drop_entry(stream, entry) == 1 and fields[17] == "l" then -- of the outbox
    advance(fields[18])
  end
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
