-- Workflows for the benchmark.
local funcs = require("funcs")

-- Calls `echo` n times, one call after the other.
local function steps(n, echo, order)
  for i = 1, n do
    local _, err = funcs.call(echo, { id = order, n = i })
    if err then
      return nil, err
    end
  end
  return order
end

local function five(echo, order)
  return steps(5, echo, order)
end

local function ladder(echo, n)
  return steps(n, echo, "ladder")
end

-- Does one step and sleeps for a day, like an order that waits for something.
local function sleeper(echo, order)
  local _, err = funcs.call(echo, { id = order })
  if err then
    return nil, err
  end
  require("time").sleep("24h")
end

-- Sleeps for the given number of seconds.
local function nap(seconds)
  require("time").sleep(string.format("%dms", seconds * 1000 // 1))
end

return { five = five, ladder = ladder, nap = nap, sleeper = sleeper }
