-- {}: returns the nodes whose leases have expired, each with its watches.
-- It always writes: while the server refuses writes, nobody can renew a lease, so nobody counts as lost.
call("HDEL", key("x", "steady"), "-")
local found = {}
for _, node in ipairs(call("ZRANGEBYSCORE", tag .. ":nodes", "-inf", text(steady()), "LIMIT", 0, 10)) do
  table.insert(found, {node, call("HKEYS", key("nw", node))}) -- `call` sets aside keys of the wrong type
end
return found
