-- {run, ref, token, details or ""}: returns 1 when the activity is cancelled or lost.
local run, ref, token, details = input[1], input[2], input[3], input[4]
local owner, canceled = unpack(call("HMGET", key("c", run), ref .. ":t", ref .. ":x"))
if owner ~= token then
  return 1
end
if details ~= "" then
  call("HSET", key("c", run), ref .. ":h", details, ref .. ":b", text(now))
end
return canceled and 1 or 0
