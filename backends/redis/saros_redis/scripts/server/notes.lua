-- {}: what people are to be told once.
local notes = tag .. ":notes"
local found = call("LRANGE", notes, 0, -1)
if #found > 0 then
  call("UNLINK", notes)
end
return found
