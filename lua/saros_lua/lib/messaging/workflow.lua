-- The workflow module (lua-surface §8); only in workflow code.
local rt = ...
rt.lasting()
local raw = rt.raw
local type = raw.type
local encode = rt.encode
local env_type, protected = rt.env.type, rt.env.pcall

local workflow = {}

function workflow.info()
  local info = {}
  for key, value in raw.next, rt.start.info or {} do
    info[key] = value
  end
  info.history_length, info.history_size = rt.history()
  return info
end

function workflow.history_length()
  return (rt.history())
end

function workflow.history_size()
  local _, size = rt.history()
  return size
end

local versions -- change id -> the answer, which never changes within an execution
local updates -- name -> {fn, validator}

rt.each_program(function()
  versions, updates = {}, {}
  rt.queries, rt.updates = nil, updates
end)

function workflow.version(change_id, lowest, highest)
  local integer = raw.math.tointeger
  if not rt.is_text(change_id) or raw.string.find(change_id, "#", 1, true) then
    raw.error("workflow.version expects a change id, a string without '#', as its first argument", 2)
  end
  lowest, highest = integer(lowest), integer(highest)
  if not lowest or not highest or lowest > highest then
    raw.error("workflow.version expects two whole numbers, min_supported <= max_supported", 2)
  end
  local version = versions[change_id]
  if not version then
    rt.changing()
    local record, why
    version, record, why = rt.facts_version(change_id, lowest, highest)
    if not version then
      rt.abort("version", why)
    end
    versions[change_id] = version
    if record then
      rt.command("version", '{"id":' .. encode(change_id, "change id") .. ',"version":' .. version .. "}")
    end
  end
  if version < lowest or version > highest then
    rt.abort("version", raw.string.format(
      "version %d of the change %s is recorded, but the code supports only %d to %d",
      version, change_id, lowest, highest
    ))
  end
  return version
end

local function attributes(given, what)
  if given == nil then
    return "{}"
  elseif env_type(given) ~= "table" then
    return nil, "workflow.attrs: " .. what .. " must be a table"
  end
  local ok, json = raw.pcall(encode, given, what)
  if not ok then
    return nil, json
  end
  return json == "[]" and "{}" or json
end

function workflow.attrs(given)
  if env_type(given) ~= "table" then
    return rt.fail("Invalid", "workflow.attrs expects {search = {...}, memo = {...}}")
  end
  for key in raw.next, given do
    if key ~= "search" and key ~= "memo" then
      return rt.fail("Invalid", "workflow.attrs expects {search = {...}, memo = {...}} and nothing else")
    end
  end
  local search, why = attributes(given.search, "search")
  local memo
  if search then
    memo, why = attributes(given.memo, "memo")
  end
  if search and raw.string.sub(search, 1, 1) ~= "{" then
    search, why = nil, "workflow.attrs: search must have names as keys"
  elseif memo and raw.string.sub(memo, 1, 1) ~= "{" then
    memo, why = nil, "workflow.attrs: memo must have names as keys"
  end
  if why then
    return rt.fail("Invalid", why)
  end
  rt.changing()
  -- Store the valid attributes even if others are invalid: callers often ignore the error.
  search, why = rt.facts_attributes(search)
  if not why or search ~= "{}" or memo ~= "{}" then
    rt.command("attrs", '{"search":' .. search .. ',"memo":' .. memo .. "}")
  end
  if why then
    return rt.fail("Invalid", why)
  end
  return true
end

function workflow.call(entry, ...)
  return rt.library("spawner").exec(entry, ...)
end
workflow.exec = workflow.call

function workflow.continue_as_new(...)
  return rt.continue_as_new(nil, rt.context_json(), ...)
end

local function failure(raised)
  return '{"err":' .. rt.error_json(rt.as_error(raised)) .. "}"
end

-- The result or error of fn as the JSON of an outcome, which is recorded; or nil, and why the result is not data.
-- fn runs inside a C call, which cannot yield: a replay would not wait there.
local function happens(fn)
  local value
  local fine, raised = protected(raw.string.gsub, "x", "x", function()
    value = fn()
  end)
  if not fine then
    return failure(raised)
  end
  local ok, json = raw.pcall(encode, value, "side effect")
  if not ok then
    return nil, json
  end
  return '{"ok":' .. json .. "}"
end

local function told(outcome)
  if outcome.err then
    raw.error(rt.decode_error(outcome.err), 0)
  end
  return outcome.ok
end

function workflow.side_effect(fn)
  if type(fn) ~= "function" then
    raw.error("workflow.side_effect expects a function", 2)
  end
  local recorded, settles = rt.facts_side_effect()
  -- A replay does not call fn again, so fn must not use up random numbers of the run.
  local restore = rt.random_apart()
  if not recorded then
    local ok, json, why = raw.pcall(happens, fn)
    restore()
    if not ok then
      raw.error(json, 2)
    elseif why then -- is recorded, too: another time fn may return data
      local _, text = raw.pcall(raw.error, why, 3)
      json = failure(text)
    end
    recorded = json
  else
    restore()
  end
  if settles then
    local outcome, err = rt.insist("side_effect", recorded)
    if err then
      return nil, err
    end
    return told(outcome)
  end
  rt.command("side_effect", recorded)
  return told(rt.decode(recorded))
end

local function handler(kind, name, fn)
  if not rt.is_text(name) then
    raw.error("workflow.on_" .. kind .. " expects a name as its first argument", 3)
  elseif type(fn) ~= "function" then
    raw.error("workflow.on_" .. kind .. " expects a function as its second argument", 3)
  end
end

function workflow.on_query(name, fn)
  handler("query", name, fn)
  rt.changing()
  rt.queries = rt.queries or {}
  rt.queries[name] = fn
end

function workflow.on_update(name, fn, validator)
  handler("update", name, fn)
  if validator ~= nil then
    handler("update", name, validator)
  end
  rt.changing()
  updates[name] = { fn = fn, validator = validator }
end

return workflow
