-- {consumer, {{kind, queue, stream, known entries}...}}: give back entries that the consumer holds without knowing it,
-- because a reply was lost. It skips entries younger than a second, whose reply may still be in transit. Returns the
-- number of entries.
local consumer, found = input[1], 0
for _, each in ipairs(input[2]) do
  local kind, name, stream, known = each[1], each[2], each[3], {}
  for _, entry in ipairs(each[4]) do
    known[entry] = true
  end
  local held = redis.pcall("XPENDING", stream, group, "IDLE", 1000, "-", "+", 1000, consumer)
  for _, pending in ipairs(held.err and {} or held) do
    if not known[pending[1]] then
      return_entry(kind, name, stream, pending[1])
      found = found + 1
    end
  end
end
return found
