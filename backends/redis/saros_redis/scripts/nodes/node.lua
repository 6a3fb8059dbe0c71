-- {verb, node, lease in microseconds or item}: nodes that are alive, their mail, and the watchers of their actors.
-- "send" returns 0 if the node has left or was deleted, and 2 if its lease has expired.
local verb, node, item = input[1], input[2], input[3]
local nodes, box, watches = tag .. ":nodes", key("nm", node), key("nw", node)
local at = steady()
local ends = tonumber(call("ZSCORE", nodes, node) or 0)
if verb == "join" then
  return call("ZADD", nodes, text(at + item), node)
elseif verb == "lives" then
  return ends > at and 1 or 0
elseif verb == "send" then
  if ends <= at then
    return ends > 0 and 2 or 0
  end
  call("RPUSH", box, item)
elseif verb == "watch" then
  call("HSET", watches, item, "")
elseif verb == "unwatch" then
  call("HDEL", watches, item)
elseif verb == "leave" then
  call("DEL", box)
  if call("EXISTS", watches) == 1 then
    call("ZADD", nodes, 0, node) -- expired: another worker notifies the watchers and forgets the node
  else
    call("ZREM", nodes, node)
  end
elseif verb == "forget" and ends <= at then
  call("ZREM", nodes, node)
  call("DEL", box, watches)
end
return 1
