-- {id, run id or "", start, most}: returns {blob, status, next run, length, records}, or nothing.
local id, run, start = input[1], input[2], input[3]
if run == "" then
  run = call("HGET", key("e", id), "run")
end
if not run then
  return {}
end
local found, blob, status, following = unpack(call("HMGET", key("m", run), "id", "run", "status", "next"))
if found ~= id then
  return {}
end
local h = key("h", run)
local last = start < 0 and -1 or start + input[4] - 1
return {blob, status, following or "", call("LLEN", h), call("LRANGE", h, start, last)}
