-- {step, skew, consumer groups' streams}: a worker saw the server's clock go `step` microseconds too far (or, below
-- zero, not far enough), while the skew was that. Gives 1, or 0 when it is the worker's own clock that is wrong.
local step, clocks, at = input[1], key("x", "steady"), counted()
local seen = tonumber(call("HGET", clocks, "seen")) or 0
local NEAR = 10000000

if (call("HGET", clocks, "skew") or "0") == input[2] then
  -- Others agreed with the server after it was set, as this worker says: then it was this one that stood still.
  if (step > 0 and seen > at - step + NEAR) or (step < -NEAR and seen <= at and seen > at - NEAR) then
    return 0
  end
  call("HINCRBY", clocks, "skew", text(step))
end
-- The streams count by the time of day how long workers have been silent, so all leases begin anew.
for _, stream in ipairs(input[3]) do
  local held = redis.pcall("XPENDING", stream, group, "-", "+", 10000)
  for _, pending in ipairs(held.err and {} or held) do
    call("XCLAIM", stream, group, pending[2], 0, pending[1], "IDLE", 0, "JUSTID")
  end
end
return 1
