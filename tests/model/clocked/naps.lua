-- Sleeps, or counts three ticks; returns the number of its attempt.
local time = require("time")

return function(what, n)
  if what == "ticks" then
    local ticker = time.ticker(n .. "ms")
    for _ = 1, 3 do
      ticker:channel():receive()
    end
    ticker:stop()
  else
    time.sleep(n .. "ms")
  end
  return require("activity").info().attempt
end
