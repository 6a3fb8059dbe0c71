-- Check that the user may run all commands of the scripts and readers; returns the server's refusals. A script that is
-- refused a command keeps its earlier writes, so this check runs first. The key is a hash, so permitted commands for
-- other types change nothing.
local probe = key("probe", "")
local refused = {}

local function try(...)
  local reply = redis.pcall(...)
  local why = type(reply) == "table" and reply.err
  if why and (string.find(why, "NOPERM") or string.find(why, "ACL failure") or string.find(why, "user executing")) then
    refused[#refused + 1] = string.lower((...)) .. ": " .. why
  end
end

try("HSET", probe, "a", "1")
try("HSETNX", probe, "a", "1")
try("HDEL", probe, "b")
try("HGET", probe, "a")
try("HGETALL", probe)
try("HINCRBY", probe, "a", 1)
try("HKEYS", probe)
try("HMGET", probe, "a")
try("HSCAN", probe, 0)
try("EXISTS", probe)
try("LINDEX", probe, 0)
try("LLEN", probe)
try("LPOP", probe)
try("LRANGE", probe, 0, 0)
try("LSET", probe, 0, "a")
try("LTRIM", probe, 0, 0)
try("RPUSH", probe, "a")
try("XACK", probe, group, "1-1")
try("XADD", probe, "*", "a", "1")
try("XCLAIM", probe, group, "probe", 0, "1-1", "JUSTID")
try("XDEL", probe, "1-1")
try("XGROUP", "CREATE", probe, group, "0", "MKSTREAM")
try("XGROUP", "DELCONSUMER", probe, group, "probe")
try("XINFO", "CONSUMERS", probe, group)
try("XINFO", "GROUPS", probe)
try("XLEN", probe)
try("XPENDING", probe, group)
try("XRANGE", probe, "-", "+")
try("XREADGROUP", "GROUP", group, "probe", "STREAMS", probe, ">")
try("ZADD", probe, 1, "a")
try("ZCARD", probe)
try("ZCOUNT", probe, 0, 0)
try("ZPOPMIN", probe)
try("ZRANGE", probe, 0, 0)
try("ZRANGEBYSCORE", probe, 0, 0)
try("ZREM", probe, "a")
try("ZREMRANGEBYSCORE", probe, 0, 0)
try("ZREVRANGEBYSCORE", probe, 0, 0)
try("ZSCORE", probe, "a")
try("EXPIRE", probe, 60)
try("PERSIST", probe)
try("RENAME", probe, probe)
try("HLEN", probe)
try("PUBLISH", key("ev", "probe"), "probe")
try("UNLINK", key("probe", "none"))
try("DEL", probe)
return refused
