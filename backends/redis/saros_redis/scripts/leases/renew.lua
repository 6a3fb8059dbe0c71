-- {consumer, {{stream, entries}...}}: renew the consumer's leases; returns the entries whose leases are lost.
local consumer, lost = input[1], {}
for _, each in ipairs(input[2]) do
  local stream, keep = each[1], {}
  for _, entry in ipairs(each[2]) do
    local pending = redis.pcall("XPENDING", stream, group, entry, entry, 1)
    if pending[1] and pending[1][2] == consumer then
      table.insert(keep, entry)
    else
      table.insert(lost, entry)
    end
  end
  if #keep > 0 then
    table.insert(keep, "JUSTID") -- does not count as a delivery
    call("XCLAIM", stream, group, consumer, 0, unpack(keep))
  end
end
return lost
