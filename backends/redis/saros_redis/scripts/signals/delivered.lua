-- {entry, id, run id, reply or "", key, lane, wanted}: remove an entry from the outbox, and send its sender the reply.
-- Returns the wanted entries, which may include the next one of the lane.
local id, only, reply = input[2], input[3], input[4]
if drop_entry(tag .. ":out", input[1]) == 1 then
  advance(input[6])
  local run = reply ~= "" and running(id)
  if run and (only == "" or only == run) and not seen(id, "reply:" .. input[5]) then
    enqueue(run, reply)
  end
end
return take_wanted(input[7])
