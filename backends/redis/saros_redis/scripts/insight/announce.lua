-- {verb, name, item, microseconds}: announcements of workers, names of task queues, and paused schedules.
-- A worker's announcement expires by the steady clock.
local verb, name, item = input[1], input[2], input[3]
local workers, queues, paused = tag .. ":workers", tag .. ":queues", tag .. ":paused"
if verb == "beat" then
  call("HSET", workers, name, text(steady() + input[4]) .. " " .. text(now) .. " " .. item)
elseif verb == "gone" then
  call("HDEL", workers, name)
elseif verb == "workers" then
  local found, fields, at = {}, call("HGETALL", workers), steady()
  for index = 1, #fields, 2 do
    local ends, heard, said = string.match(fields[index + 1], "^(%d+) (%d+) (.*)$")
    if ends and tonumber(ends) > at then
      table.insert(found, {heard, said})
    else
      call("HDEL", workers, fields[index])
    end
  end
  return found
elseif verb == "queue" then
  call("HSET", queues, name, "1")
elseif verb == "queues" then
  return call("HKEYS", queues)
elseif verb == "pause" then
  call("HSET", paused, name, item)
elseif verb == "resume" then
  call("HDEL", paused, name)
else -- "paused"
  return call("HGETALL", paused)
end
return 1
