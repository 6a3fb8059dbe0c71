-- `math` for user code: Lua's own, and the functions that only 5.1 to 5.3 had. In workflows the run seeds it.
local rt = ...
rt.lasting()
local raw = rt.raw
local select, next, pcall = raw.select, raw.next, raw.pcall
local exp, log, atan = raw.math.exp, raw.math.log, raw.math.atan

local math = {}
for name, value in next, raw.math do
  math[name] = value
end

function math.pow(x, y)
  return x ^ y
end

function math.log10(x)
  return log(x, 10)
end

function math.atan2(y, x)
  return atan(y, x)
end

function math.sinh(x)
  return (exp(x) - exp(-x)) / 2
end

function math.cosh(x)
  return (exp(x) + exp(-x)) / 2
end

function math.tanh(x)
  if x > 20 or x < -20 then -- a double cannot hold the difference
    return x > 0 and 1.0 or -1.0
  end
  local e = exp(-2 * x)
  return (1 - e) / (1 + e)
end

function math.ldexp(m, e)
  return m * 2.0 ^ e
end

-- x = m * 2^e with 0.5 <= |m| < 1.
function math.frexp(x)
  if x == 0 or x ~= x or x == 1 / 0 or x == -1 / 0 then
    return x + 0.0, 0
  end
  local m, e = x + 0.0, 0
  while m >= 1 or m <= -1 do
    m, e = m / 2, e + 1
  end
  while m < 0.5 and m > -0.5 do
    m, e = m * 2, e - 1
  end
  return m, e
end

if rt.workflow then
  local random, randomseed = raw.math.random, raw.math.randomseed
  local times -- how many times randomseed was called without arguments

  rt.each_program(function()
    times = 0
  end)

  function math.random(...)
    if not rt.happening then -- the next number would differ from that of a replay
      rt.changing()
    end
    return rt.finish(pcall(random, ...))
  end

  -- Without arguments Lua would take the time and an address.
  function math.randomseed(...)
    if not rt.happening then
      rt.changing()
    end
    if select("#", ...) == 0 then
      local a, b = rt.seeds()
      if rt.happening then
        return randomseed(random(0), random(0))
      end
      times = times + 1
      return randomseed(a, b + times)
    end
    return rt.finish(pcall(randomseed, ...))
  end
end

return math
