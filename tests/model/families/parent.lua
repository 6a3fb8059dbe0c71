-- Starts children without waiting for them, and ends: state = {children = {{id, policy}}, waits, ends, total, last}.
local workflow = require("workflow")

local function main(state)
  local total = state.total or 0
  workflow.on_update("add", function(n)
    total = total + n
    return total
  end)
  for _, child in ipairs(state.last and {} or state.children) do
    coroutine.spawn(function()
      process.with_options({ ["workflow.id"] = child[1], ["workflow.parent_close_policy"] = child[2] })
        :spawn("app:child", "app:worker")
    end)
  end
  if state.waits or state.last then
    process.inbox():receive()
  end
  if state.last or state.ends == "complete" then
    return total
  elseif state.ends == "fail" then
    return nil, errors.new("Broken", "as told")
  elseif state.ends == "retry" then
    return nil, errors.new({ message = "again", retryable = true })
  end
  workflow.continue_as_new({ last = true, total = total })
end

return { main = main }
