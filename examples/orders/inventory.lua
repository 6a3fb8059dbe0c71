-- Reserves goods and releases them.
local function reserve(items)
  for _, item in ipairs(items) do
    if item.sku == "sold-out" then
      return nil, errors.new({ message = "out of stock: " .. item.sku, kind = errors.NOT_FOUND, retryable = false })
    end
  end
  print("reserved", #items)
  return { id = "res-" .. #items, count = #items }
end

local function release(reservation_id)
  print("released", reservation_id)
  return { released = reservation_id }
end

return { reserve = reserve, release = release }
