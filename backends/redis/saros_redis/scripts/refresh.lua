-- {owner, gone after microseconds}: a process still has its name.
call("ZADD", tag .. ":soft", text(now), input[1])
call("ZREMRANGEBYSCORE", tag .. ":soft", "-inf", text(now - 2 * input[2]))
return 1
