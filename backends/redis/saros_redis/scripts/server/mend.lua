-- {key, type}: put a key of the partition aside that is of another type.
call(({hash = "HLEN", list = "LLEN", zset = "ZCARD", stream = "XLEN"})[input[2]], input[1])
return 1
