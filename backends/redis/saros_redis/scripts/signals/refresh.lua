-- {name, pid, microseconds until it expires}: refresh the name of a process, even if others considered it lost.
local at = steady()
call("ZADD", tag .. ":soft", text(at), input[1] .. "\n" .. input[2])
call("ZREMRANGEBYSCORE", tag .. ":soft", "-inf", text(at - 2 * input[3]))
call("HSETNX", tag .. ":names", input[1], input[2])
return 1
