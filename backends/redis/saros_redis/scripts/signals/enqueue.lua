-- {id, mail, run id or "", key, start request or "", whether it wakes}: gives 1, or 0 when it does not run.
local id, item, only, mark, request = input[1], input[2], input[3], input[4], input[5]
local run
if request ~= "" then
  run = made(id, request)
else
  run = running(id)
end
if not run or (only ~= "" and only ~= run) then
  -- Its sender asks again, for the reply was lost, when it may have ended the run that it reached.
  return mark ~= "" and call("ZSCORE", key("k", id), mark) and 1 or 0
end
if not seen(id, mark) then
  enqueue(run, item)
  if input[6] then
    wake(run)
  end
end
return 1
