-- {id, run id or ""}: returns {fields of the run, fields of its activities, when it wakes or "", retries: ref, time},
-- or nothing. Changes nothing. Times are times of day.
local id, run = input[1], input[2]
if run == "" then
  run = call("HGET", key("e", id), "run") or ""
end
local m = key("m", run)
if call("HGET", m, "id") ~= id then
  return {}
end
local shift = now - steady()

local function when(kind, ref)
  local due = due_at(run, kind, ref)
  return due and text(due + shift) or ""
end

local activities, retries = call("HGETALL", key("c", run)), {}
for index = 1, #activities, 2 do
  if string.match(activities[index], "^%d+$") then
    table.insert(retries, activities[index])
    table.insert(retries, when("retry", activities[index]))
  end
end
return {call("HGETALL", m), activities, when("wake", "0"), retries}
