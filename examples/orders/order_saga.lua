-- A saga: what was done is noted, and undone in reverse order when a later step fails.
local funcs = require("funcs")

-- A local function exists from its definition on. It must therefore stand above the code that calls it: below
-- `main`, the name in `main` would be a global, which is nil when a step fails.
local function run_compensations(compensations)
  for _, comp in ipairs(compensations) do
    funcs.call(comp.action, comp.args)
  end
end

local function main(order)
  local compensations = {}

  -- 1. Reserve the goods.
  local reservation, err = funcs.call("app:reserve_inventory", order.items)
  if err then
    return { status = "failed", step = "inventory", error = tostring(err) }
  end
  table.insert(compensations, 1, { action = "app:release_inventory", args = reservation.id })

  -- 2. Take the money.
  local payment, payment_err = funcs.call("app:charge_payment", order.payment)
  if payment_err then
    run_compensations(compensations)
    return { status = "failed", step = "payment", error = tostring(payment_err) }
  end
  table.insert(compensations, 1, { action = "app:refund_payment", args = payment.id })

  -- 3. Ship.
  local shipment, shipping_err = funcs.call("app:ship_order", order.shipping)
  if shipping_err then
    run_compensations(compensations)
    return { status = "failed", step = "shipping", error = tostring(shipping_err) }
  end

  return { status = "completed", tracking = shipment.tracking_number }
end

return { main = main }
