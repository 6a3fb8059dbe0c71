-- {consumer, {{stream, entries that it knows}...}, idle ms}: what the consumer holds without knowing counts as
-- overdue at once, so that it is taken over. Replies under way are left alone for a second.
local consumer, found = input[1], 0
for _, each in ipairs(input[2]) do
  local stream, known = each[1], {}
  for _, entry in ipairs(each[2]) do
    known[entry] = true
  end
  local held = redis.pcall("XPENDING", stream, group, "IDLE", 1000, "-", "+", 1000, consumer)
  for _, pending in ipairs(held.err and {} or held) do
    if not known[pending[1]] then
      call("XCLAIM", stream, group, consumer, 0, pending[1], "IDLE", input[3], "JUSTID")
      found = found + 1
    end
  end
end
return found
