-- {key, type}: set aside a key of the partition if it has another type.
call(({hash = "HLEN", list = "LLEN", zset = "ZCARD", stream = "XLEN"})[input[2]], input[1])
return 1
