-- {}: nodes whose leases have ended, each with its watches.
-- It writes: while the server takes no writes, nobody could renew anything, and nobody is lost.
call("HDEL", key("x", "steady"), "-")
local found = {}
for _, node in ipairs(call("ZRANGEBYSCORE", tag .. ":nodes", "-inf", text(steady()), "LIMIT", 0, 10)) do
  table.insert(found, {node, call("HKEYS", key("nw", node))}) -- both are put aside when they are of no use
end
return found
