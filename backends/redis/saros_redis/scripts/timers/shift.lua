-- {step, skew, streams with consumer groups}: correct the skew after a worker saw the server's clock advance by `step`
-- microseconds too much (or, if negative, too little) while the skew had the given value. Returns 1, or 0 if the
-- worker's own clock is wrong.
local step, clocks, at = input[1], key("x", "steady"), counted()
local seen = clock_of("seen")
local NEAR = 10000000

if text(clock_of("skew")) == input[2] then
  -- If other workers have agreed with the server since the supposed step, it was this worker that was suspended.
  if (step > 0 and seen > at - step + NEAR) or (step < -NEAR and seen <= at and seen > at - NEAR) then
    return 0
  end
  call("HSET", clocks, "skew", text(clock_of("skew") + step))
end
-- Streams measure how long consumers have been idle by the time of day, so all leases are renewed.
for _, stream in ipairs(input[3]) do
  local held = redis.pcall("XPENDING", stream, group, "-", "+", 10000)
  for _, pending in ipairs(held.err and {} or held) do
    call("XCLAIM", stream, group, pending[2], 0, pending[1], "IDLE", 0, "JUSTID")
  end
end
return 1
