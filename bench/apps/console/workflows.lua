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

local function echo(value)
  return value
end

return { echo = echo, long = long, wait = wait }
