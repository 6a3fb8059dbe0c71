-- One call as the test describes it; tells the result, or all about the error.
local M = {}

local function seen(value, err)
  if err == nil then
    return { ok = value }
  end
  return {
    kind = err:kind(),
    message = err:message(),
    retryable = err:retryable(),
    open = err:retryable() == nil,
    details = err:details(),
  }
end

function M.main(what)
  local funcs, time = require("funcs"), require("time")
  local executor = funcs.new()
  if what.options then
    executor = executor:with_options(what.options)
  end
  if what.cancel_after then
    local future = executor:async(what.id, table.unpack(what.args or {}))
    time.sleep(what.cancel_after)
    future:cancel()
    local _, err = future:result()
    return seen(nil, err)
  end
  return seen(executor:call(what.id, table.unpack(what.args or {})))
end

-- Waits for a call however long it takes; a cancellation is told with the error that the call gave.
function M.stuck(what)
  local executor = require("funcs").new():with_options(what.options)
  return seen(executor:call(what.id, table.unpack(what.args or {})))
end

return M
