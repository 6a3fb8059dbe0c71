-- {results, wanted} gives what was wanted. A result: {run, ref, token, mail, retry at or 0}.
-- A token is random and used once, so a result counts once.
local function settle(result)
  local run, ref, token, item, retry_at = unpack(result)
  local c = key("c", run)
  local blob, owner, at, canceled = unpack(call("HMGET", c, ref, ref .. ":t", ref .. ":e", ref .. ":x"))
  if not blob or owner ~= token then
    return
  end
  if retry_at > 0 and not canceled then
    drop_call_entry(at)
    call("HDEL", c, ref .. ":t", ref .. ":e", ref .. ":l")
    call("HINCRBY", c, ref .. ":a", 1)
    arm(run, "retry", ref, retry_at, string.match(at, " (.*)$"))
    return
  end
  drop_call(run, ref, at)
  post_run(run, item)
end

for _, result in ipairs(input[1]) do
  local ok, why = guard(settle, result)
  if not ok then
    set_run_aside(result[1], why)
  end
end
return take_wanted(input[2])
