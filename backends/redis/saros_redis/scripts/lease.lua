-- {kind, stream, entries, wanted}: lease entries that a blocking read gave, and what else is wanted.
local kind, stream, wanted = input[1], input[2], input[4]
local consumer, nonce, most = wanted[1], wanted[2], wanted[8]
local got = {text(now), {}, {}, {}}
for _, entry in ipairs(input[3]) do
  local found = claim(stream, consumer, entry)
  if found then
    local fields, mark = found[2], nonce .. ":" .. entry
    if kind == "runs" then
      table.insert(got[2], lease_run(stream, entry, fields[2], mark, wanted))
    elseif kind == "calls" then
      table.insert(got[3], lease_call(stream, entry, fields[2], fields[4], mark, most, false))
    else
      table.insert(got[4], {entry, fields})
    end
  end
end
take_runs(got[2], wanted)
take_calls(got[3], wanted)
take_out(got[4], wanted)
return got
