-- What an order's items cost together, less a discount.
local function price(items, rules)
  local total = 0
  for _, item in ipairs(items) do
    total = total + item.price * (item.count or 1)
  end
  return total * (1 - (rules.discount or 0))
end

return { price = price }
