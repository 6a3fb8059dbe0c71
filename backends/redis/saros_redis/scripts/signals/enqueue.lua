-- {id, mail, run id or "", key, start request or "", whether it ends a wait for the start}: add mail to an execution;
-- returns 1, or 0 if it is not running.
local id, item, only, mark, request = input[1], input[2], input[3], input[4], input[5]
local run
if request ~= "" then
  run = made(id, request)
else
  run = running(id)
end
if not run or (only ~= "" and only ~= run) then
  -- The sender may repeat a mail whose reply was lost, after that mail has ended the run.
  return mark ~= "" and call("ZSCORE", key("k", id), mark) and 1 or 0
end
if not seen(id, mark) then
  enqueue(run, item)
  if input[6] then
    wake(run)
  end
end
return 1
