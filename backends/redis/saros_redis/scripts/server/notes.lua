-- {}: what people are to be told once.
-- It always writes, so that it fails while the server takes no writes, as renewals do (see client.py).
call("HDEL", key("x", "steady"), "-")
local notes = tag .. ":notes"
local found = call("LRANGE", notes, 0, -1)
if #found > 0 then
  call("UNLINK", notes)
end
return found
