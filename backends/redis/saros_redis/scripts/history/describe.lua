-- {id, run ids}: the fields and history lengths of these runs, or of the newest run of `id`.
local id, runs = input[1], input[2]
if #runs == 0 then
  runs = {call("HGET", key("e", id), "run") or nil}
end
local found = {}
for _, run in ipairs(runs) do
  local ok, why = guard(function()
    local fields = call("HGETALL", key("m", run))
    if #fields > 0 then
      table.insert(found, {fields, call("LLEN", key("h", run))})
    end
  end)
  if not ok and #input[2] < 2 then
    error(why, 0) -- a single run is an error; a list omits it
  end
end
return found
