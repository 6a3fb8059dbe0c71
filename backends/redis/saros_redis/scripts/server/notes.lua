-- {}: take the notes, which the calling worker logs.
-- It always writes, so that it fails while the server refuses writes, as renewals do (see client.py).
call("HDEL", key("x", "steady"), "-")
local notes = tag .. ":notes"
local found = call("LRANGE", notes, 0, -1)
if #found > 0 then
  call("UNLINK", notes)
end
return found
