-- Workflows for the benchmark of the console.
local funcs = require("funcs")

local function wait()
  process.listen("go"):receive()
end

-- Calls `echo` n times, 500 at a time, and waits.
local function long(n)
  local executor = funcs.new()
  for first = 1, n, 500 do
    local calls = {}
    for i = first, math.min(n, first + 499) do
      calls[#calls + 1] = executor:async("bench:echo", { n = i })
    end
    for _, call in ipairs(calls) do
      call:response():receive()
    end
  end
  local go = process.listen("go")
  while true do
    go:receive()
  end
end

-- Waits for an activity that is tried again.
local function away()
  local hourly = { initial_interval = 3600000, maximum_interval = 3600000 }
  return funcs.new():with_options({ ["activity.retry_policy"] = hourly }):call("bench:fail")
end

local function fail()
  return nil, require("errors").new({ message = "the bank is away", kind = "Unavailable", retryable = true })
end

local function echo(value)
  return value
end

return { away = away, echo = echo, fail = fail, long = long, wait = wait }
