-- {results, wanted}: returns the wanted tasks. A result: {run, ref, token, mail, delay of a retry or -1, failure}.
-- Each attempt has a random token of its own, so a repeated result counts once.
local function settle(result)
  local run, ref, token, item, delay, failure = unpack(result)
  local c = key("c", run)
  local blob, owner, at, canceled = unpack(call("HMGET", c, ref, ref .. ":t", ref .. ":e", ref .. ":x"))
  if not blob or owner ~= token then
    return
  end
  local due = delay >= 0 and not canceled and steady() + delay
  if due and due < (due_at(run, "close", ref) or math.huge) then
    drop_activity_entry(at)
    call("HDEL", c, ref .. ":t", ref .. ":e", ref .. ":l")
    count_attempt(run, ref)
    if failure ~= "" then
      call("HSET", c, ref .. ":f", failure)
    end
    arm(run, "retry", ref, due, string.match(at, " (.*)$"))
    return
  end
  drop_activity(run, ref, at)
  enqueue(run, item)
end

for _, result in ipairs(input[1]) do
  local ok, why = guard(settle, result)
  if not ok then
    set_run_aside(result[1], why)
  end
end
return take_wanted(input[2])
