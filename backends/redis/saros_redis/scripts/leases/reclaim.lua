-- {wanted, lease in ms, alone, queues}: take over entries whose workers are lost. Activities of these queues that such
-- workers ran within a workflow task go back to their queues.
-- Returns {leases taken over, number of suspects, number of activities that went to queues}.
-- A suspect is an entry with which several workers in a row were lost, perhaps because of it. Only one suspect is tried
-- at a time; `alone` says that this worker already has one.
local wanted, lease, alone = input[1], input[2], input[3]
local consumer, nonce, most = wanted[1], wanted[2], wanted[8]
local got = {text(now), {}, {}, {}}
local suspects = alone and 1 or 0
if known < 0 or math.abs(known - counted()) > lease * 500 then
  return {got, suspects, 0} -- the clock was set: idle times mean nothing until all leases are renewed (shift.lua)
end

local function losses_of(kind, fields)
  if kind == "runs" then
    return tonumber(call("HGET", key("m", fields[2]), "takes") or 0)
  end
  return tonumber(call("HGET", key("c", fields[2]), fields[4] .. ":l") or 0) + 1
end

local function is_suspect(kind, fields)
  return kind ~= "out" and losses_of(kind, fields) >= math.min(3, most - 1)
end

local function sweep(kind, stream, limit, list, take)
  for _, pending in ipairs(overdue(stream, lease, limit)) do
    local entry = pending[1]
    local fields = call("XRANGE", stream, entry, entry)
    fields = fields[1] and fields[1][2]
    if not fields then
      call("XACK", stream, group, entry)
    else
      local ok, suspect = guard(is_suspect, kind, fields)
      if not ok then
        set_aside(kind, stream, entry, fields, suspect)
      elseif not suspect or suspects == 0 then
        suspects = suspects + (suspect and 1 or 0)
        claim(stream, consumer, entry)
        table.insert(list, leased(kind, stream, entry, fields, function()
          return take(entry, fields, nonce .. ":" .. entry)
        end))
      end
    end
  end
end

for _, queue in ipairs(wanted[3]) do
  local stream = key("ready", queue)
  sweep("runs", stream, wanted[4], got[2], function(entry, fields, mark)
    return lease_run(stream, entry, fields[2], mark, wanted)
  end)
end
for index, queues in ipairs(wanted[5]) do
  for _, queue in ipairs(queues) do
    local stream = key("act", queue)
    sweep("activities", stream, wanted[6][index], got[3], function(entry, fields, mark)
      return lease_activity(stream, entry, fields[2], fields[4], mark, wanted, true)
    end)
  end
end
local requeued = 0
for _, queue in ipairs(input[4]) do
  local stream = key("loc", queue)
  for _, pending in ipairs(overdue(stream, lease, 100)) do
    requeued = requeued + requeue_own(stream, pending[1], queue)
  end
end
sweep("out", tag .. ":out", wanted[7], got[4], function(entry, fields)
  return lease_out(entry, fields, wanted)
end)
return {got, suspects, requeued}
