-- Queries and updates: workflow.on_query and workflow.on_update register handlers, and clients call them.
local rt = ...
rt.lasting()
local raw = rt.raw
local pcall, unpack = raw.pcall, raw.table.unpack
local encode, decode, command, run_ready = rt.encode, rt.decode, rt.command, rt.run_ready

-- Runs a handler as a task, then calls answer(value, err) with its result or error.
function rt.run_handler(fn, args, answer)
  local n = rt.length(args)
  local task = rt.spawn(function()
    answer(fn(unpack(args, 1, n)))
  end)
  task.handle = function(err, stack)
    answer(nil, rt.as_error(err, stack))
  end
  return task
end

function rt.answer(id, value, err)
  local ok, json
  if err ~= nil then
    ok, json = pcall(rt.encode_error, rt.as_error(err))
  else
    ok, json = pcall(encode, value, "answer")
  end
  if not ok then
    err = rt.error({ kind = "Invalid", message = json, retryable = false })
    json = rt.encode_error(err)
  end
  rt.read_only_no_more()
  command("answer", '{"id":' .. encode(id, "id") .. ',"' .. (err ~= nil and "err" or "ok") .. '":' .. json .. "}")
end

-- Answers a request that has no handler.
local function unknown(kind, asked)
  local message = "there is no " .. kind .. " " .. rt.shown(asked.name) .. "; define it with workflow.on_" .. kind .. "(name, fn)"
  return rt.answer(asked.id, nil, rt.error({ kind = "NotFound", message = message, retryable = false }))
end

function rt.on.query(body)
  local query = decode(body)
  local fn = rt.queries and rt.queries[query.name]
  if not fn then
    return unknown("query", query)
  end
  if rt.closed then
    rt.drop_ready() -- tasks that were left when the program ended do not go on
  end
  local answered = false
  rt.only_read(query.id, rt.new_effect())
  local task = rt.run_handler(fn, query.args or {}, function(value, err)
    answered = true
    rt.answer(query.id, value, err)
  end)
  run_ready()
  if not answered then
    rt.abandon(task) -- a cancellation must not wake it
    local message = "the query handler " .. rt.shown(query.name) .. " blocked; a query only reads"
    rt.answer(query.id, nil, rt.error({ kind = "Invalid", message = message, retryable = false }))
  end
end

local function answer_later(id)
  return function(value, err)
    rt.answer(id, value, err)
  end
end

-- An update: its validator may reject it; otherwise its handler runs like any coroutine, and may block.
function rt.on.update(body)
  local update = decode(body)
  local args = update.args or {}
  local handler = rt.updates and rt.updates[update.name]
  if not handler then
    return unknown("update", update)
  end
  if handler.validator then
    local refused
    rt.run_handler(handler.validator, args, function(value, err)
      if err ~= nil then
        refused = rt.as_error(err)
      elseif value == false then
        refused = rt.error({ kind = "Invalid", message = "the update was refused", retryable = false })
      end
    end)
    run_ready()
    if rt.closed or rt.killed() then
      return
    elseif refused then
      return rt.answer(update.id, nil, refused)
    end
  end
  rt.run_handler(handler.fn, args, answer_later(update.id))
end
