-- {id, run ids}: the fields and history lengths of these runs, or of the newest run of `id`.
local id, runs = input[1], input[2]
if #runs == 0 then
  runs = {call("HGET", key("e", id), "run") or nil}
end
local found = {}
for _, run in ipairs(runs) do
  local fields = call("HGETALL", key("m", run))
  if #fields > 0 then
    table.insert(found, {fields, call("LLEN", key("h", run))})
  end
end
return found
