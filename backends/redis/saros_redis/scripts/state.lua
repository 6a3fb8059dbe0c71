-- {id, run id}: {status or "", history length}.
local status = call("HGET", key("m", input[2]), "status")
return {status or "", call("LLEN", key("h", input[2]))}
