-- Charges an order, waits a little, ships it; refunds the payment when it cannot be shipped.
local funcs = require("funcs")
local time = require("time")

local function main(order)
  local payment, err = funcs.call("app:charge_payment", {
    amount = order.total,
    customer = order.customer_id,
  })
  if err then
    return { status = "failed", step = "payment", error = tostring(err) }
  end

  -- A durable sleep: it goes on where it was after a restart, were it a day.
  time.sleep("1s")

  local shipment, ship_err = funcs.call("app:ship_order", {
    order_id = order.id,
    address = order.address,
  })
  if ship_err then
    funcs.call("app:refund_payment", payment.id)
    return { status = "failed", step = "shipping", error = tostring(ship_err) }
  end

  return {
    status = "completed",
    payment_id = payment.id,
    tracking = shipment.tracking,
  }
end

return { main = main }
