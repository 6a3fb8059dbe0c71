-- How runs begin and end.

-- Create a run.
-- new: {run, id, blob, pid, queue, type, start, delay, mails, attributes, memo, alarms}; alarms, which are time limits:
-- {delay, outcome, whether another run may follow, whether the delay counts from the first run}.
-- expires: in a run that continues another, when the alarm that counts from the first run is due.
local function create(new, expires)
  local run, id, start = new[1], new[2], text(new[7])
  local m = key("m", run)
  push_all(key("i", run), new[9])
  call("HSET", m, "run", new[3], "id", id, "pid", new[4], "status", "running", "queue", new[5],
    "type", new[6], "start", start, "size", 0)
  call("HSET", key("e", id), "run", run)
  call("ZADD", key("x", "all"), start, run)
  call("ZADD", key("x", "status:running"), start, run)
  call("ZADD", key("x", "type:" .. new[6]), start, run)
  for _, attribute in ipairs(new[10]) do
    set_attribute(run, start, attribute[1], attribute[2], attribute[3])
  end
  for _, item in ipairs(new[11]) do
    set_memo(run, item[1], item[2])
  end
  for number, alarm in ipairs(new[12]) do
    local due = alarm[4] and expires or steady() + alarm[1]
    arm(run, alarm[3] and "again" or alarm[4] and "total" or "run", number, due, alarm[2])
  end
  if new[8] > 0 then
    call("HSET", m, "delayed", "start")
    arm(run, "wake", 0, steady() + new[8], "")
  else
    schedule(run)
  end
end

-- End the children of a run by their parent close policies, including those that have not started yet. `ch` maps the
-- command that starts a child to its policy and id.
local function part(id, run, pid)
  local children = call("HGETALL", key("ch", run))
  for index = 1, #children, 2 do
    local request = run .. ":" .. children[index]
    local policy, child = string.match(children[index + 1], "^(%S+) (.*)$")
    local verb = policy == "terminate" and "terminate" or "cancel"
    local body = cjson.encode({verb = verb, to = "|" .. child, reason = "the parent has ended", request = request})
    send_out({id, run, pid, 0, "ask", body, request .. ":" .. verb, "", ""})
  end
  call("DEL", key("ch", run))
end

-- Notify the watchers of the end.
local function tell(id, run, pid, outcome)
  local watchers = call("HGETALL", key("w", id))
  for index = 1, #watchers, 2 do
    local field, watcher = watchers[index], watchers[index + 1]
    local lane = id .. ">" .. string.match(field, "^[^\n]*")
    send_out({id, run, pid, 0, "exit", outcome, run .. ":end:" .. field, watcher, lane})
  end
  call("DEL", key("w", id))
end

-- Move mail that names no run to the next run of an execution.
local function inherit(run, following)
  for _, item in ipairs(call("LRANGE", key("i", run), 0, -1)) do
    if string.sub(item, 1, 1) == "\n" then
      table.insert(following[9], item)
      if string.sub(item, 1, 8) == "\ncancel\n" then
        following[8] = 0
      end
    end
  end
end

local function close_run(run, status, outcome, following)
  local m = key("m", run)
  local id, pid, queue, sched, start = unpack(call("HMGET", m, "id", "pid", "queue", "sched", "start"))
  call("HSET", m, "status", status, "closed", text(now))
  call("HDEL", m, "fence", "sched", "delayed", "failures", "problem", "parked", "takes", "retrying")
  if sched then
    drop_entry(key("ready", queue), sched)
  end
  local activities = call("HGETALL", key("c", run))
  for index = 1, #activities, 2 do
    if string.match(activities[index], ":e$") then
      drop_activity_entry(activities[index + 1])
    end
  end
  local expires
  local deadlines = call("HGETALL", key("d", run))
  for index = 1, #deadlines, 2 do
    local member = member_of(run, deadlines[index], deadlines[index + 1])
    if member then
      if following and string.match(deadlines[index], "^total:") then
        expires = tonumber(call("ZSCORE", tag .. ":tm", member) or nil)
      end
      call("ZREM", tag .. ":tm", member)
    end
  end
  call("ZREM", key("x", "status:running"), run)
  call("ZADD", key("x", "status:" .. status), start, run)
  call("ZADD", key("x", "closed"), text(steady()), run)
  for _, index in ipairs({"dead", "parked", "retrying"}) do
    call("ZREM", key("x", index), run)
  end
  part(id, run, pid)
  if following and expires and following[8] > 0 and steady() + following[8] >= expires then
    following = nil -- it would begin after the execution timeout
  end
  if following then
    call("HSET", m, "next", following[1])
    inherit(run, following)
    create(following, expires)
  else
    tell(id, run, pid, outcome)
  end
  call("DEL", key("c", run), key("d", run), key("i", run))
  call("PUBLISH", key("end", run), status)
  call("PUBLISH", key("ev", run), status)
end

-- End a run from outside, with a record that no program wrote.
local function end_run(run, status, op, outcome, following)
  call("RPUSH", key("h", run), op .. "\n0\n" .. text(now) .. "000\n" .. outcome)
  call("HINCRBY", key("m", run), "size", #outcome + 32)
  close_run(run, status, outcome, following)
end
