-- {kind, stream, entry, why}: set aside an entry that a worker could not read.
local kind, stream, entry, why = input[1], input[2], input[3], input[4]
local found = call("XRANGE", stream, entry, entry)[1]
if found then
  set_aside(kind, stream, entry, found[2], why)
end
return 1
