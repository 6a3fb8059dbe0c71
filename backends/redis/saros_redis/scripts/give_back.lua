-- {consumer, run queues, call queues}: a worker that stops hands over what it still holds, and leaves.
local consumer = input[1]

local function held(stream)
  local reply = redis.pcall("XPENDING", stream, group, "-", "+", 1000, consumer)
  return reply.err and {} or reply
end

local function leave(stream)
  if #held(stream) == 0 then
    redis.pcall("XGROUP", "DELCONSUMER", stream, group, consumer)
  end
end

local function each(stream, put_back)
  for _, pending in ipairs(held(stream)) do
    local found = call("XRANGE", stream, pending[1], pending[1])[1]
    drop_entry(stream, pending[1])
    if found then
      put_back(pending[1], found[2])
    end
  end
  leave(stream)
end

for _, queue in ipairs(input[2]) do
  each(key("ready", queue), function(entry, fields)
    local m = key("m", fields[2])
    if call("HGET", m, "sched") == entry then
      call("HDEL", m, "sched", "fence", "takes")
      schedule(fields[2])
    end
  end)
end
for _, queue in ipairs(input[3]) do
  each(key("act", queue), function(entry, fields)
    local run, ref = fields[2], fields[4]
    if string.match(call("HGET", key("c", run), ref .. ":e") or "", "^%S+") == entry then
      call("HDEL", key("c", run), ref .. ":t")
      queue_call(run, ref, queue)
    end
  end)
end
each(tag .. ":out", function(_, fields)
  call("XADD", tag .. ":out", "*", unpack(fields))
end)
return 1
