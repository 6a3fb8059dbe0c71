-- The process module: pids, messages, events, spawning (lua-surface §6).
local rt = ...
rt.lasting()
local raw = rt.raw
local env = rt.env
local type, next, select = raw.type, raw.next, raw.select
local encode, decode = rt.encode, rt.decode
local command, request = rt.command, rt.request
local sub, find = raw.string.sub, raw.string.find

local UNBOUNDED = raw.math.maxinteger
local INBOX, EVENTS = -3, -4 -- their places among all objects: a message or a query may make them first
local MAX_ID, MAX_PID = 1000, 1500 -- bytes

-- Messages -----------------------------------------------------------------------------------------

local inbox -- channel of messages without a listener; made with the first message or inbox()
local listeners -- topic -> {channel, messages = true?}
local topics -- listener channel -> topic
local unwanted -- topics that are no longer listened to

rt.library("channel")
rt.library("payload")
local new_payload = rt.payload_new
local new_message, message_of

local function mailbox()
  if not inbox then
    inbox = rt.channel_new(UNBOUNDED, INBOX)
  end
  return inbox
end

new_message, message_of = rt.class("message", {
  topic = function(self)
    return message_of(self).topic
  end,
  from = function(self)
    return message_of(self).from
  end,
  -- One payload per value that was sent; a message without values has one payload of nil.
  payload = function(self)
    local state = message_of(self)
    local objects = state.objects
    if not objects then
      objects = {}
      for i = 1, raw.math.max(1, state.n) do
        objects[i] = new_payload(state.payloads[i])
      end
      if not rt.answering then -- a query's are its own: their order is that of their creation
        state.objects = objects
      end
    end
    return raw.table.unpack(objects)
  end,
}, {
  __tostring = function(self)
    return "message: " .. message_of(self).topic
  end,
})

local function hand_over(listener, message)
  if listener.messages then
    rt.channel_offer(listener.channel, message)
    return
  end
  local state = message_of(message)
  for i = 1, raw.math.max(1, state.n) do
    rt.channel_offer(listener.channel, state.payloads[i])
  end
end

local function route(wire)
  local payloads = wire.payloads or {}
  local message = new_message({
    topic = wire.topic,
    from = wire.sender or "",
    payloads = payloads,
    n = rt.length(payloads),
  })
  local listener = listeners[wire.topic]
  if listener then
    hand_over(listener, message)
  elseif not unwanted[wire.topic] then
    rt.channel_offer(mailbox(), message)
  end
end

function rt.on.message(body)
  route(decode(body))
end

-- The topics that the program listens to: topic -> listener.
function rt.topics()
  return listeners
end

-- Messages that no code has received yet, as JSON, for the run that continues this one.
function rt.unread_mail()
  local mail = {}
  local function collect(message)
    local state = message_of(message)
    local payloads = rt.pack("payload", raw.table.unpack(state.payloads, 1, state.n))
    mail[#mail + 1] = '{"topic":'
      .. encode(state.topic, "topic")
      .. ',"sender":'
      .. encode(state.from, "sender")
      .. ',"payloads":'
      .. payloads
      .. "}"
  end
  local names = {}
  for topic in next, listeners do
    names[#names + 1] = topic
  end
  raw.table.sort(names)
  local function every()
    return true
  end
  for _, topic in raw.ipairs(names) do
    local listener = listeners[topic]
    for _, value in raw.ipairs(rt.channel_extract(listener.channel, every)) do
      if listener.messages then
        collect(value)
      else
        collect(new_message({ topic = topic, from = "", payloads = { value }, n = 1 }))
      end
    end
  end
  if inbox then
    for _, message in raw.ipairs(rt.channel_extract(inbox, every)) do
      collect(message)
    end
  end
  return mail
end

-- Events: EXIT, CANCEL, LINK_DOWN ------------------------------------------------------------------

local events -- the channel; queued into from the first event on
local expects_exit -- pid -> true while its end is still to be reported, then false; EARLY: see rt.expect_exit
local asked -- whether the code has ever called events()
local cooperative -- CANCEL event -> true if it came before that, so that blocking calls return CANCELED
local options
local EARLY = "early"

rt.each_program(function()
  inbox, listeners, topics, unwanted = nil, {}, {}, {}
  expects_exit = {}
  cooperative = {}
  events, asked, options = nil, false, { trap_links = false, upgradable = false }
end)

local function event_channel()
  if not events then
    events = rt.channel_new(UNBOUNDED, EVENTS)
  end
  return events
end

local function exit_event(kind, body)
  local wire = decode(body)
  local err = wire.err and rt.decode_error(wire.err) or nil
  local result = { value = wire.ok, error = err }
  return { kind = kind, from = wire.sender, result = result, error = err }
end

function rt.on.exit(body)
  local event = exit_event("EXIT", body)
  expects_exit[event.from] = false
  rt.channel_offer(event_channel(), event)
end

-- Records that the end of an execution started here will be reported as EXIT.
function rt.expect_exit(pid)
  if expects_exit[pid] == nil then
    expects_exit[pid] = true
  elseif expects_exit[pid] == false then -- EXIT came before the pid: the code cannot know until it receives it
    expects_exit[pid] = EARLY
  end
end

-- Returns true while the code cannot know that an execution has ended, false once it can, and nil if its end is not reported.
local function is_unaware(pid)
  local expected = expects_exit[pid]
  if expected ~= EARLY then
    return expected
  end
  return rt.channel_holds(event_channel(), function(event)
    return event.kind == "EXIT" and event.from == pid
  end)
end

function rt.on.link_down(body)
  local event = exit_event("LINK_DOWN", body)
  if options.trap_links then
    rt.channel_offer(event_channel(), event)
    return
  end
  local message = "linked process " .. event.from .. " failed"
  if event.error then
    message = message .. ": " .. event.error:message()
  end
  rt.end_with(rt.error({ kind = "Internal", message = message, retryable = false }))
end

function rt.on.cancel(body)
  local wire = decode(body)
  local reason = wire.reason or ""
  local event = { kind = "CANCEL", from = wire.sender or "", reason = reason }
  rt.channel_offer(event_channel(), event)
  if not asked then
    cooperative[event] = true
    rt.cancel_blocked(rt.canceled_error(reason))
  end
end

-- Cancellations that the code has not met, as JSON, for the run that continues this one: it has neither received
-- their events nor got CANCELED from a blocking call.
function rt.unmet_cancels()
  local cancels = {}
  local unread = events and rt.channel_extract(events, function(event)
    return event.kind == "CANCEL" and not (cooperative[event] and rt.has_met_cancellation())
  end)
  for _, event in raw.ipairs(unread or {}) do
    cancels[#cancels + 1] = '{"sender":'
      .. encode(event.from, "sender")
      .. ',"reason":'
      .. encode(event.reason, "reason")
      .. "}"
  end
  return cancels
end

-- The app has been reloaded, and this program runs the old code.
function rt.outdated()
  if options.upgradable then
    rt.channel_offer(event_channel(), { kind = "OUTDATED", from = "" })
  end
end

-- Requests -----------------------------------------------------------------------------------------

local function text(value)
  return rt.is_text(value) and value or nil
end

local function ask(fields)
  return request("ask", encode(fields, "request"))
end

local function not_found(dest)
  return rt.fail("NotFound", "process " .. rt.shown(dest) .. " not found")
end

-- Whether nothing can have this pid, name or id, as it is too long; backends would refuse it in their own ways.
local function too_long(dest)
  return #dest > MAX_PID or #dest - (find(dest, "|", 1, true) or 0) > MAX_ID
end

local function ask_true(verb, dest, reason)
  if not text(dest) then
    return rt.fail("Invalid", "process." .. verb .. " expects a pid, a name or a workflow id")
  elseif too_long(dest) then
    return not_found(dest)
  end
  local _, err = ask({ verb = verb, to = dest, reason = reason })
  if err then
    return nil, err
  end
  return true
end

local process = {}

function process.pid()
  return rt.pid
end

function process.id()
  return rt.start.entry .. "#" .. rt.pid
end

function process.send(dest, topic, ...)
  if not text(dest) then
    return rt.fail("Invalid", "process.send expects a pid, a name or a workflow id as its first argument")
  elseif not text(topic) then
    return rt.fail("Invalid", "process.send expects a topic as its second argument")
  elseif sub(topic, 1, 1) == "@" then
    return rt.fail("Invalid", "the topic " .. rt.shown(topic) .. " is reserved: topics of your own do not start with @")
  elseif too_long(dest) then
    return not_found(dest)
  end
  local payloads, err = rt.pack("payload", ...)
  if not payloads then
    return nil, err
  end
  local size = rt.oversize(#payloads + #topic)
  if size then
    return rt.fail("Invalid", "the message has " .. size)
  end
  local body = '{"to":' .. encode(dest, "to") .. ',"topic":' .. encode(topic, "topic") .. ',"payloads":' .. payloads .. "}"
  if rt.workflow and find(dest, "^@[^|]*|") then
    if is_unaware(dest) == false then
      return not_found(dest)
    end
    command("tell", body) -- awaited, so that the next message cannot overtake this one
    return true
  end
  local unaware = is_unaware(dest)
  local _, failure = request("send", body)
  if failure and not (unaware and failure:kind() == "NotFound") then
    return nil, failure
  end
  return true
end

function process.inbox()
  return mailbox()
end

function process.listen(topic, opts)
  if not text(topic) or sub(topic, 1, 1) == "@" then
    return rt.fail("Invalid", "process.listen expects a topic that does not start with @")
  end
  local listener = listeners[topic]
  if listener then
    return listener.channel
  end
  rt.changing()
  unwanted[topic] = nil
  local messages = type(opts) == "table" and opts.message == true
  listener = { channel = rt.channel_new(UNBOUNDED), messages = messages }
  listeners[topic] = listener
  topics[listener.channel] = topic
  if inbox then -- messages that came before the listener
    local function mine(message)
      return message_of(message).topic == topic
    end
    for _, message in raw.ipairs(rt.channel_extract(inbox, mine)) do
      hand_over(listener, message)
    end
  end
  return listener.channel
end

function process.unlisten(ch)
  local topic = ch ~= nil and topics[ch]
  if not topic then
    return false
  end
  rt.changing()
  listeners[topic], unwanted[topic] = nil, true
  topics[ch] = nil
  rt.channel_close(ch)
  return true
end

function process.events()
  if not asked or rt.refusing() then
    rt.changing()
    asked = true
    rt.take_cancellation()
  end
  return event_channel()
end

process.event = { EXIT = "EXIT", CANCEL = "CANCEL", LINK_DOWN = "LINK_DOWN", OUTDATED = "OUTDATED" }

function process.monitor(dest)
  local ok, err = ask_true("monitor", dest)
  if ok and find(dest, "|", 1, true) then
    expects_exit[dest] = true
  end
  return ok, err
end

function process.unmonitor(dest)
  local ok, err = ask_true("unmonitor", dest)
  if ok then
    expects_exit[dest] = nil
  end
  return ok, err
end

local NO_LINKS = "links are not supported in workflow context; use process.monitor"

function process.link(dest)
  if rt.workflow then
    return rt.fail("Invalid", NO_LINKS)
  end
  return ask_true("link", dest)
end

function process.unlink(dest)
  if rt.workflow then
    return rt.fail("Invalid", NO_LINKS)
  end
  return ask_true("unlink", dest)
end

function process.cancel(dest, reason)
  return ask_true("cancel", dest, type(reason) == "string" and rt.text(reason) or nil)
end

function process.terminate(dest)
  return ask_true("terminate", dest)
end

-- Whether this code may read from workflow `dest`: true, or nil, err.
local function may_read(verb, dest)
  if rt.workflow then
    return rt.fail("Invalid", "process." .. verb .. " is for functions; a workflow watches others with monitor and messages")
  elseif not text(dest) then
    return rt.fail("Invalid", "process." .. verb .. " expects the pid, name or id of a workflow")
  elseif too_long(dest) then
    return not_found(dest)
  end
  return true
end

local function read(verb, dest, cursor)
  local ok, err = may_read(verb, dest)
  if not ok then
    return nil, err
  elseif cursor ~= nil and not text(cursor) then
    return rt.fail("Invalid", "process." .. verb .. " expects a cursor that it returned before, or nil")
  end
  return ask({ verb = verb, to = dest, name = cursor })
end

-- Describes a workflow: {id, run_id, status, start_time, search_attributes, result, error, ...}.
function process.describe(dest)
  return read("describe", dest)
end

-- The events of a workflow since a cursor (nil: since its start): {events, cursor, status}. Waits for
-- more; the cursor is nil once the workflow has ended and all events were returned.
function process.history(dest, cursor)
  return read("history", dest, cursor)
end

-- Calls a handler of a workflow, of workflow.on_query or workflow.on_update.
local function asking(verb)
  return function(dest, name, ...)
    local ok, err = may_read(verb, dest)
    if not ok then
      return nil, err
    elseif not text(name) then
      return rt.fail("Invalid", "process." .. verb .. " expects the name of a handler as its second argument")
    end
    local args, failure = rt.pack("argument", ...)
    if not args then
      return nil, failure
    end
    local head = '{"verb":"' .. verb .. '","to":' .. encode(dest, "to") .. ',"name":' .. encode(name, "name")
    return rt.perform("ask", head .. ',"args":' .. args .. "}")
  end
end

process.query = asking("query")
process.update = asking("update")

function process.get_options()
  return { trap_links = options.trap_links, upgradable = options.upgradable }
end

-- Absent options keep their values.
function process.set_options(opts)
  if env.type(opts) ~= "table" then
    return rt.fail("Invalid", "process.set_options expects a table, not a " .. env.type(opts))
  end
  local library = rt.library("options")
  local read, why = library.own(opts, { trap_links = library.boolean, upgradable = library.boolean })
  if not read then
    return rt.fail("Invalid", "process.set_options: " .. why)
  end
  rt.changing()
  options = library.merge(options, read)
  return true
end

-- Names -------------------------------------------------------------------------------------------

local LOCAL = "local"

-- The fault in a name or its scope, or nil.
local function misnamed(verb, name, scope)
  if not rt.is_name(name) then
    return "process.registry." .. verb .. " expects a name of at most " .. rt.MAX_NAME .. " bytes"
  elseif scope ~= nil and scope ~= LOCAL then
    return "process.registry."
      .. verb
      .. ": there is no scope "
      .. rt.shown(scope)
      .. "; the only one is process.registry.LOCAL, whose names reach every worker of the app"
  end
end

-- A registry function that takes only a name.
local function by_name(verb)
  return function(name, scope)
    local why = misnamed(verb, name, scope)
    if why then
      return rt.fail("Invalid", why)
    end
    return ask({ verb = verb, name = name })
  end
end

process.registry = {
  LOCAL = LOCAL,
  GLOBAL = "global", -- refused with an error that explains why
  register = function(name, pid, scope)
    local why = misnamed("register", name, scope)
    if not why and pid ~= nil and (not text(pid) or too_long(pid)) then
      why = "process.registry.register expects a pid, not a " .. env.type(pid)
    end
    if why then
      return rt.fail("Invalid", why)
    end
    local _, err = ask({ verb = "register", name = name, to = pid or rt.pid })
    if err then
      return nil, err
    end
    return true
  end,
  lookup = by_name("lookup"),
  unregister = by_name("unregister"),
}

function process.upgrade(entry, ...)
  if entry ~= nil and not text(entry) then
    return rt.fail("Invalid", "process.upgrade expects an entry id, or nil for the same entry")
  end
  return rt.continue_as_new(entry, rt.context_json(), ...)
end

-- Spawning -----------------------------------------------------------------------------------------

function process.with_context(values)
  return rt.library("spawner").with_context(values)
end

function process.with_options(given)
  return rt.library("spawner").with_options(given)
end

for _, form in raw.ipairs({ "spawn", "spawn_monitored", "spawn_linked", "spawn_linked_monitored", "exec" }) do
  process[form] = function(...)
    return rt.library("spawner").plain[form](...)
  end
end

return process
