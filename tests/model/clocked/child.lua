-- Waits for hours, fails at its first attempt, or ends at once.
return function(what)
  local workflow = require("workflow")
  if what == "waits" then
    require("time").sleep("2h")
  elseif what == "fails" and workflow.info().attempt == 1 then
    return nil, errors.new({ message = "again", kind = errors.UNAVAILABLE, retryable = true })
  end
  return "ended"
end
