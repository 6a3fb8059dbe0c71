-- {streams, idle ms}: delete consumers that have been idle for longer and hold no entries.
for _, stream in ipairs(input[1]) do
  local consumers = redis.pcall("XINFO", "CONSUMERS", stream, group)
  for _, fields in ipairs(consumers.err and {} or consumers) do
    local found = {}
    for index = 1, #fields, 2 do
      found[fields[index]] = fields[index + 1]
    end
    if found.pending == 0 and found.idle > input[2] then
      call("XGROUP", "DELCONSUMER", stream, group, found.name)
    end
  end
end
return 1
