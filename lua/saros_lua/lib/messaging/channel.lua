-- Go's channels, on the scheduler: rendezvous or buffered, with select.
local rt = ...
rt.lasting()
local raw = rt.raw
local block, wake, current = rt.block, rt.wake, rt.current
local CANCELLED = rt.CANCELLED
local error = raw.error

-- A channel's state: buffer items [first..last], capacity, and two queues of waiting operations.
-- A waiting operation is {task, value, group}: group is shared by the cases of one select, and an
-- operation whose group is done, or that was withdrawn, is skipped.
local new, get

local function queue()
  return { first = 1, last = 0 }
end

local function push(q, item)
  q.last = q.last + 1
  q[q.last] = item
end

local function pop_live(q)
  while q.first <= q.last do
    local op = q[q.first]
    q[q.first] = nil
    q.first = q.first + 1
    if not op.group.done then
      op.group.done = true
      return op
    end
  end
  q.first, q.last = 1, 0
end

local function has_live(q)
  for i = q.first, q.last do
    if not q[i].group.done then
      return true
    end
  end
  return false
end

local function take_buffered(ch)
  local value = ch[ch.first]
  ch[ch.first] = nil
  ch.first = ch.first + 1
  local sender = ch.senders and pop_live(ch.senders)
  if sender then
    ch.last = ch.last + 1
    ch[ch.last] = sender.value
    wake(sender.task, sender, true)
  end
  return value
end

-- Each returns done, and for a receive value and ok.
local function try_receive(ch)
  if ch.first <= ch.last then
    return true, take_buffered(ch), true
  end
  local sender = ch.senders and pop_live(ch.senders)
  if sender then
    wake(sender.task, sender, true)
    return true, sender.value, true
  end
  if ch.closed then
    return true, nil, false
  end
  return false
end

local function try_send(ch, value)
  if ch.closed then
    error("send on a closed channel", 3)
  end
  local receiver = ch.receivers and pop_live(ch.receivers)
  if receiver then
    wake(receiver.task, receiver, value, true)
    return true
  end
  if ch.last - ch.first + 1 < ch.capacity then
    ch.last = ch.last + 1
    ch[ch.last] = value
    return true
  end
  return false
end

local function enqueue(ch, side, op)
  local q = ch[side]
  if not q then
    q = queue()
    ch[side] = q
  end
  while q.first <= q.last and q[q.first].group.done do -- left behind by a select in a loop
    q[q.first] = nil
    q.first = q.first + 1
  end
  push(q, op)
end

-- Blocks until one operation of the group takes effect; returns the operation and its results.
local function wait(group)
  local op, value, ok = block(function()
    group.done = true
  end)
  if op == CANCELLED then
    error(value, 0)
  end
  return op, value, ok
end

local function state_of(self, what)
  local ch = get(self)
  if not ch then
    error("expected a channel; call it as channel:" .. what .. "()", 3)
  end
  return ch
end

local methods = {}

function methods.send(self, value)
  local ch = state_of(self, "send")
  rt.changing(self)
  if try_send(ch, value) then
    return true
  end
  local group = {}
  enqueue(ch, "senders", { task = current(), value = value, group = group })
  local _, sent = wait(group)
  if not sent then
    error("send on a closed channel", 2)
  end
  return true
end

function methods.receive(self)
  local ch = state_of(self, "receive")
  rt.changing(self)
  local done, value, ok = try_receive(ch)
  if done then
    return value, ok
  end
  local group = {}
  enqueue(ch, "receivers", { task = current(), group = group })
  local _, received, live = wait(group)
  return received, live
end

local function close(ch)
  if ch.closed then
    return
  end
  ch.closed = true
  local op = ch.receivers and pop_live(ch.receivers)
  while op do
    wake(op.task, op, nil, false)
    op = pop_live(ch.receivers)
  end
  op = ch.senders and pop_live(ch.senders)
  while op do
    wake(op.task, op, false)
    op = pop_live(ch.senders)
  end
end

function methods.close(self)
  local ch = state_of(self, "close")
  rt.changing(self)
  close(ch)
end

local new_case, case_of = rt.class("channel.case", {})

function methods.case_send(self, value)
  return new_case({ channel = self, ch = state_of(self, "case_send"), send = true, value = value })
end

function methods.case_receive(self)
  return new_case({ channel = self, ch = state_of(self, "case_receive") })
end

new, get = rt.class("channel", methods)

local function is_ready(case)
  local ch = case.ch
  if ch.closed then
    return true
  end
  if case.send then
    return ch.last - ch.first + 1 < ch.capacity or (ch.receivers and has_live(ch.receivers)) or false
  end
  return ch.first <= ch.last or (ch.senders and has_live(ch.senders)) or false
end

local function result(case, value, ok)
  if case.send then
    return { channel = case.channel, ok = true }
  end
  return { channel = case.channel, value = value, ok = ok }
end

local function select(cases)
  if rt.env.type(cases) ~= "table" then
    error("channel.select expects a table of cases", 2)
  end
  local list, n = {}, #cases
  for i = 1, n do
    local case = case_of(cases[i])
    if not case then
      error("channel.select: item " .. i .. " is not a case; make it with case_receive() or case_send(v)", 2)
    end
    rt.changing(case.channel)
    list[i] = case
  end
  for i = 1, n do
    local case = list[i]
    if is_ready(case) then
      if case.send then
        try_send(case.ch, case.value)
        return result(case)
      end
      local _, value, ok = try_receive(case.ch)
      return result(case, value, ok)
    end
  end
  if cases.default then
    return { default = true, ok = true }
  end
  if n == 0 then
    error("channel.select without cases would block for ever", 2)
  end
  local group, task = {}, current()
  for i = 1, n do
    local case = list[i]
    local side = case.send and "senders" or "receivers"
    enqueue(case.ch, side, { task = task, value = case.value, group = group, case = case })
  end
  local op, value, ok = wait(group)
  if op.case.send and not value then
    error("send on a closed channel", 2)
  end
  return result(op.case, value, ok)
end

-- For the library: does not block, and does not fail on a closed channel.
function rt.channel_new(capacity, ordinal)
  return new({ first = 1, last = 0, capacity = capacity, closed = false }, ordinal)
end

function rt.channel_offer(self, value)
  local ch = get(self)
  if ch.closed then
    return false
  end
  return try_send(ch, value)
end

function rt.channel_close(self)
  close(get(self))
end

-- Removes and returns the unread items of a channel for which `keep(value)` is false.
function rt.channel_extract(self, wanted)
  local ch = get(self)
  local taken, kept = {}, {}
  for i = ch.first, ch.last do
    local value = ch[i]
    ch[i] = nil
    if wanted(value) then
      taken[#taken + 1] = value
    else
      kept[#kept + 1] = value
    end
  end
  for i = 1, #kept do
    ch[i] = kept[i]
  end
  ch.first, ch.last = 1, #kept
  return taken
end

-- Whether a channel has an unread item of this kind.
function rt.channel_holds(self, wanted)
  local ch = get(self)
  for i = ch.first, ch.last do
    if wanted(ch[i]) then
      return true
    end
  end
  return false
end

function rt.is_channel(value)
  return get(value) ~= nil
end

return {
  new = function(capacity)
    if capacity == nil then
      capacity = 0
    end
    if raw.math.type(capacity) ~= "integer" or capacity < 0 then
      error("channel.new expects a capacity of 0 or more", 2)
    end
    return rt.channel_new(capacity)
  end,
  select = select,
}
