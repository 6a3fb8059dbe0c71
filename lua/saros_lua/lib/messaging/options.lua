-- Option tables of executors and spawners, checked and turned into wire options.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, next = raw.type, raw.next
local gsub, find, sub = raw.string.gsub, raw.string.find, raw.string.sub
local env_type = rt.env.type

local MS = 1000000
local MAX_MS = 100 * 366 * 86400000 -- a hundred years
local MAX_NAME = 1000 -- bytes of an id or of a name
rt.library("duration")

-- Each reader returns the wire value, or nil and a description of the expected value.
local function milliseconds(value)
  local ns, why = rt.duration.parse_ns(value, MS)
  if not ns then
    return nil, "a duration such as \"30s\", or milliseconds (" .. why .. ")"
  elseif ns < 0 then
    return nil, "a duration that is not negative"
  elseif ns // MS > MAX_MS then
    return nil, "a duration of at most 100 years"
  end
  return (ns - 1) // MS + 1
end

local function text(value)
  if value == "" or rt.is_text(value) then
    return value
  end
  return nil, "a text in UTF-8"
end

-- The id of an activity, or the name of a task queue.
local function name_of(value)
  if text(value) and #value <= MAX_NAME and not find(value, "%c") then
    return value
  end
  return nil, "a text of at most " .. MAX_NAME .. " bytes in UTF-8, without control characters"
end

local function boolean(value)
  if type(value) == "boolean" then
    return value
  end
  return nil, "true or false"
end

local function count(value)
  local n = raw.math.tointeger(value)
  if n and n >= 0 and n < 2147483648 then
    return n
  end
  return nil, "a whole number from 0 to 2147483647"
end

local function coefficient(value)
  if type(value) == "number" and value >= 1 and value < raw.math.huge then
    return value + 0.0
  end
  return nil, "a finite number of at least 1"
end

local function texts(value)
  local list, n = {}, 0
  for i, item in next, env_type(value) == "table" and value or { false } do
    n = n + 1
    if raw.math.type(i) ~= "integer" or i < 1 or i > #value or not text(item) then
      return nil, "a list of texts in UTF-8"
    end
    list[i] = item
  end
  return n == #list and list or nil, "a list of texts in UTF-8"
end

local function map(value)
  if env_type(value) ~= "table" then
    return nil, "a table"
  end
  for key in next, value do
    if not text(key) then
      return nil, "a table with names as keys"
    end
  end
  return next(value) == nil and rt.decode("{}") or value -- else it would cross as a list
end

local function one_of(...)
  local words = { ... }
  return function(value)
    for i = 1, #words do
      if words[i] == value then
        return value
      end
    end
    return nil, "one of " .. raw.table.concat(words, ", ")
  end
end

local retry_policy -- also a reader

local ACTIVITY = {
  start_to_close_timeout = milliseconds,
  schedule_to_close_timeout = milliseconds,
  schedule_to_start_timeout = milliseconds,
  heartbeat_timeout = milliseconds,
  id = name_of,
  task_queue = name_of,
  wait_for_cancellation = boolean,
  ["local"] = boolean,
  disable_eager_execution = boolean,
  retry_policy = function(value)
    return retry_policy(value)
  end,
}

local WORKFLOW = {
  id = text,
  namespace = name_of,
  task_queue = name_of,
  execution_timeout = milliseconds,
  run_timeout = milliseconds,
  task_timeout = milliseconds,
  id_conflict_policy = one_of("use_existing", "fail", "terminate_existing"),
  id_reuse_policy = one_of("allow_duplicate", "allow_duplicate_failed_only", "reject_duplicate"),
  execution_error_when_already_started = boolean,
  retry_policy = ACTIVITY.retry_policy,
  cron_schedule = text,
  memo = map,
  search_attributes = map,
  start_delay = milliseconds,
  enable_eager_start = boolean,
  parent_close_policy = one_of("terminate", "abandon", "request_cancel"),
  wait_for_cancellation = boolean,
}

local RETRY = {
  initial_interval = milliseconds,
  backoff_coefficient = coefficient,
  maximum_interval = milliseconds,
  maximum_attempts = count,
  non_retryable_error_types = texts,
}

-- Names ----------------------------------------------------------------------------------------------

local GROUPS = { ["activity."] = ACTIVITY, ["workflow."] = WORKFLOW }

local function sorted(names)
  raw.table.sort(names)
  return names
end

local function names_of(readers, prefix)
  local names = {}
  for name in next, readers do
    names[#names + 1] = prefix .. name
  end
  return sorted(names)
end

local POLICY = names_of(RETRY, "")
local ACTIVITIES, WORKFLOWS = names_of(ACTIVITY, "activity."), names_of(WORKFLOW, "workflow.")

local function no_option(key, meant)
  local hint = meant and "; did you mean " .. meant .. "?" or ""
  return "there is no option " .. rt.shown(key) .. hint
end

-- The option that a key without a known prefix misspells, or nil if there is none.
local function slip(key, mine)
  if key == "timeout" then -- has no prefix
    return nil
  end
  for name in next, mine do
    if name == key then
      return (mine == ACTIVITY and "activity." or "workflow.") .. name
    end
  end
  if #key < 6 then -- so short a name resembles too many others
    return nil
  end
  local nearest = rt.library("nearest")
  local found = nearest(key, names_of(mine, "")) or nearest(key, POLICY)
  if found then
    local prefix = mine == ACTIVITY and "activity." or "workflow."
    return mine[found] and prefix .. found or prefix .. "retry_policy." .. found
  end
  return nearest(key, mine == ACTIVITY and ACTIVITIES or WORKFLOWS)
end

-- The name of the option in `mine` for a key, or nil; and a message about a key that is probably misspelt.
local function named(key, mine)
  local rest = sub(key, 1, 9) == "temporal." and sub(key, 10) or key
  local group = GROUPS[sub(rest, 1, 9)]
  if group then
    local name = sub(rest, 10)
    if group[name] then
      return group == mine and name or nil
    end
    local near = rt.library("nearest")(rest, group == ACTIVITY and ACTIVITIES or WORKFLOWS, 0.6)
    return nil, no_option(key, near)
  end
  local meant = slip(rest, mine)
  if meant or rest ~= key then
    return nil, no_option(key, meant)
  end
end

-- Reads the options of `given` into a new table; or nil, message for the first faulty key in order of
-- the names.
local function read(given, readers, name_of, into)
  local keys = {}
  for key in next, given do
    if type(key) == "string" then
      keys[#keys + 1] = key
    end
  end
  for _, key in raw.ipairs(sorted(keys)) do
    local name, wrong = name_of(key, readers)
    if wrong then
      return nil, wrong
    elseif name then
      local wire, wanted = readers[name](given[key])
      if wire == nil then
        return nil, "option " .. rt.shown(key) .. " must be " .. wanted
      end
      into[name] = wire
    end
  end
  return into
end

local function of_policy(key)
  if RETRY[key] then
    return key
  end
  return nil, no_option(key, rt.library("nearest")(key, POLICY, 0.6))
end

function retry_policy(value)
  if env_type(value) ~= "table" then
    return nil, "a table"
  end
  local policy, why = read(value, RETRY, of_policy, {})
  if not policy then
    return nil, "a retry policy, but " .. why
  end
  return policy
end

local options = {}

-- `activity.*` options as a wire table; nil, message.
function options.activity(given)
  local wire, why = read(given, ACTIVITY, named, {})
  if wire and not rt.workflow and given.timeout ~= nil and given.timeout ~= 0 then
    local ms, wanted = milliseconds(given.timeout)
    if not ms then
      return nil, "option timeout must be " .. wanted
    end
    wire.start_to_close_timeout = ms
  end
  if wire and wire.start_to_close_timeout == 0 and (wire.schedule_to_close_timeout or 0) == 0 then
    return nil, "option activity.start_to_close_timeout must be a duration above 0, unless schedule_to_close_timeout limits the call"
  end
  return wire, why
end

-- `workflow.*` options as a wire table; nil, message.
function options.workflow(given)
  return read(given, WORKFLOW, named, {})
end

-- The options of an execution itself, as for process.set_options, in a new table; nil, message.
function options.own(given, readers)
  local names = names_of(readers, "")
  return read(given, readers, function(key)
    if readers[key] then
      return key
    end
    local meant = rt.library("nearest")(key, names)
    return nil, meant and no_option(key, meant)
  end, {})
end
options.boolean = boolean

-- A copy of a with b's entries on top.
function options.merge(a, b)
  local merged = {}
  for key, value in next, a do
    merged[key] = value
  end
  for key, value in next, b do
    merged[key] = value
  end
  return merged
end

return options
