-- The order workflow: charge, wait an hour in which the customer may change their mind, ship.
local funcs = require("funcs")
local time = require("time")
local workflow = require("workflow")

local function main(order)
  -- Search attributes can be filtered on (`saros list --query "stage = 'waiting'"`); the memo is for people.
  -- Not "status": in queries that is the execution's own, such as running.
  local found = { stage = "charging", customer_id = order.customer_id, order_total = order.total }
  workflow.attrs({ search = found, memo = { source = "examples/orders" } })

  local payment, err = funcs.call("app:charge_payment", {
    amount = order.total,
    customer = order.customer_id,
  })
  if err then
    return { status = "failed", error = tostring(err) }
  end

  -- A durable sleep: no process waits for it, and a restart does not matter.
  workflow.attrs({ search = { stage = "waiting" } })
  time.sleep("1h")

  -- The carrier is slow and at times unreachable: try a lost attempt again soon, and give up after four.
  local carrier = funcs.new():with_options({
    ["activity.start_to_close_timeout"] = "2m",
    ["activity.heartbeat_timeout"] = "20s",
    ["activity.retry_policy"] = { initial_interval = "5s", maximum_attempts = 4 },
  })
  local shipment, ship_err = carrier:call("app:ship_order", {
    order_id = order.id,
    address = order.shipping_address,
  })
  if ship_err then
    funcs.call("app:refund_payment", payment.id)
    workflow.attrs({ search = { stage = "refunded" } })
    return { status = "failed", error = tostring(ship_err) }
  end

  workflow.attrs({ search = { stage = "shipped" } })
  return {
    status = "completed",
    payment_id = payment.id,
    tracking = shipment.tracking_number,
  }
end

return { main = main }
