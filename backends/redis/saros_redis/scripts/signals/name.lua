-- {verb, name, pid, old pid}: set, register, unregister or look up a name; returns the pid that has it afterwards, or
-- the one that had it before "unregister".
local names, verb, name, pid, old = tag .. ":names", input[1], input[2], input[3], input[4]
local owner = call("HGET", names, name)
if verb == "set" then
  call("HSET", names, name, pid)
  return pid
elseif verb == "register" then
  if not owner or owner == old then
    call("HSET", names, name, pid)
    return pid
  end
elseif verb == "unregister" and owner and (pid == "" or owner == pid) then
  call("HDEL", names, name)
  return owner
elseif verb == "unregister" then
  return ""
end
return owner or ""
