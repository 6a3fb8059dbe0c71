-- {consumer, {{kind, queue, stream}...}}: a stopping worker gives back its tasks and leaves; returns their number.
local consumer, given = input[1], 0
for _, each in ipairs(input[2]) do
  local kind, name, stream = unpack(each)
  local held = redis.pcall("XPENDING", stream, group, "-", "+", 1000, consumer)
  for _, pending in ipairs(held.err and {} or held) do
    return_entry(kind, name, stream, pending[1])
    given = given + 1
  end
  if not held.err and #held < 1000 then
    call("XGROUP", "DELCONSUMER", stream, group, consumer)
  end
end
return given
