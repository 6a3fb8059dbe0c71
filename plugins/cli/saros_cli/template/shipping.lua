-- Hands an order to the carrier.
local uuid = require("uuid")

local function ship(request)
  if not request.address then
    return nil, errors.new({
      message = "order " .. tostring(request.order_id) .. " has no address",
      kind = errors.INVALID,
      retryable = false,
    })
  end
  return { tracking = "TRK-" .. uuid.v4() }
end

return { ship = ship }
