-- The order workflow: activities, a timer, an approval by signal.
local funcs = require("funcs")
local time = require("time")

local function main(order)
  local charged, err = funcs.call("app:echo", { charged = order.total, ratio = 3.0 })
  if err then
    return nil, err
  end
  time.sleep("10ms")
  local inbox = process.inbox()
  local message = inbox:receive()
  return {
    id = order.id,
    charged = charged,
    topic = message:topic(),
    by = message:payload():data(),
    from = message:from(),
    pid = process.pid(),
  }
end

return { main = main }
