-- {owner, gone after microseconds}: 1 when a process has been heard of since.
local heard = call("ZSCORE", tag .. ":soft", input[1])
return heard and tonumber(heard) > steady() - input[2] and 1 or 0
