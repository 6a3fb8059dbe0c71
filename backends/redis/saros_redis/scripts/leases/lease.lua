-- {kind, stream, entries, wanted}: lease entries returned by a blocking read, and further wanted tasks.
local kind, stream, wanted = input[1], input[2], input[4]
local consumer, nonce, most = wanted[1], wanted[2], wanted[8]
local got = {text(now), {}, {}, {}}
for _, entry in ipairs(input[3]) do
  local found = claim(stream, consumer, entry)
  if found then
    local mark, list = nonce .. ":" .. entry, got[({runs = 2, activities = 3, out = 4})[kind]]
    table.insert(list, leased(kind, stream, entry, found[2], function(_, fields)
      if kind == "runs" then
        return lease_run(stream, entry, fields[2], mark, wanted)
      elseif kind == "activities" then
        return lease_activity(stream, entry, fields[2], fields[4], mark, wanted, false)
      end
      return lease_out(entry, fields, wanted)
    end))
  end
end
take_runs(got[2], wanted)
take_activities(got[3], wanted)
take_out(got[4], wanted)
return got
