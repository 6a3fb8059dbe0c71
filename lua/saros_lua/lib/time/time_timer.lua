-- Timers and tickers of the time module: channels that get a time.
local rt = ...
rt.lasting()
local raw = rt.raw
rt.library("channel")
local now = rt.time.now
local parse_ns = rt.duration.parse_ns
local start, stop = rt.timer, rt.timer_stop
local offer, channel_new = rt.channel_offer, rt.channel_new

local function positive(d, what)
  local ns, why = parse_ns(d)
  if not ns then
    return rt.fail("Invalid", what .. ": " .. why)
  elseif ns <= 0 then
    return rt.fail("Invalid", what .. " expects a duration above zero")
  end
  return ns
end

local function of(get, self, what)
  local state = get(self)
  if not state then
    raw.error("expected a " .. what .. "; call its methods with a colon", 3)
  end
  return state
end

local function everything()
  return true
end

-- Timers: {channel, ref}; ref is set while it runs.
local new_timer, get_timer

local function arm(timer, ns)
  timer.ref = start(ns, function()
    timer.ref = nil
    offer(timer.channel, now())
  end)
end

local function disarm(timer)
  rt.changing()
  local ref = timer.ref
  timer.ref = nil
  return ref ~= nil and stop(ref)
end

local function timer_channel(self)
  return of(get_timer, self, "timer").channel
end

new_timer, get_timer = rt.class("timer", {
  channel = timer_channel,
  response = timer_channel,
  stop = function(self)
    return disarm(of(get_timer, self, "timer"))
  end,
  reset = function(self, d)
    local timer = of(get_timer, self, "timer")
    local ns, err = positive(d, "reset")
    if not ns then
      return nil, err
    end
    local was_running = disarm(timer)
    rt.channel_extract(timer.channel, everything) -- a time of the old setting must not count for the new one
    arm(timer, ns)
    return was_running
  end,
})

-- Tickers: {channel, ref, interval, due}; each tick starts the timer of the next.
local new_ticker, get_ticker

-- Ticks are due at whole intervals after the start, so lateness does not add up. Where a tick was missed, or the
-- clock was set, the next one comes after a whole interval: it is never early.
local function tick_after(ticker)
  local time = rt.now()
  local late = time - ticker.due
  local anew = late < 0 or late >= ticker.interval
  ticker.due = (anew and time or ticker.due) + ticker.interval
  ticker.ref = start(ticker.due - time, function()
    offer(ticker.channel, now()) -- the buffer holds one: a slow receiver misses ticks
    tick_after(ticker)
  end)
end

local function ticker_channel(self)
  return of(get_ticker, self, "ticker").channel
end

new_ticker, get_ticker = rt.class("ticker", {
  channel = ticker_channel,
  response = ticker_channel,
  stop = function(self)
    return disarm(of(get_ticker, self, "ticker"))
  end,
})

local timers = {}

function timers.after(d)
  local ns, why = parse_ns(d)
  if not ns then
    return rt.fail("Invalid", "time.after: " .. why)
  end
  local channel = channel_new(1)
  if ns <= 0 then
    offer(channel, now())
  else
    start(ns, function()
      offer(channel, now())
    end)
  end
  return channel
end

function timers.timer(d)
  local ns, err = positive(d, "time.timer")
  if not ns then
    return nil, err
  end
  local timer = { channel = channel_new(1) }
  arm(timer, ns)
  return new_timer(timer)
end

function timers.ticker(d)
  local ns, err = positive(d, "time.ticker")
  if not ns then
    return nil, err
  end
  local ticker = { channel = channel_new(1), interval = ns, due = rt.now() }
  tick_after(ticker)
  return new_ticker(ticker)
end

return timers
