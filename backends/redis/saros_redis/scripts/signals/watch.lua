-- {id, field, watcher}: add a watcher, or remove it if it is empty. Returns 0 if the execution is not running.
local id, field, watcher = input[1], input[2], input[3]
if watcher == "" then
  call("HDEL", key("w", id), field)
  return 1
end
if not running(id) then
  return 0
end
call("HSET", key("w", id), field, watcher)
return 1
