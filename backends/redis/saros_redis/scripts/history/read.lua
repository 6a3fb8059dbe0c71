-- {what, ...}: read without changing anything.
local what, name, limit = unpack(input)
if what == "run" then -- run id: its facts
  return call("HGET", key("m", name), "run")
elseif what == "state" then -- run id: {status or "", history length}
  return {call("HGET", key("m", name), "status") or "", call("LLEN", key("h", name))}
elseif what == "running" then -- id: 1 if the execution is running
  return running(name) and 1 or 0
end
-- "heard", owner of a name, microseconds: 1 if the process has refreshed its name within that time
local heard = call("ZSCORE", tag .. ":soft", name)
return heard and tonumber(heard) > steady() - limit and 1 or 0
