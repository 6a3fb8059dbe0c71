-- Takes money, and gives it back. A real one would call a payment service with http_client.
local function charge(request)
  if type(request.amount) ~= "number" or request.amount <= 0 then
    return nil, errors.new({
      message = "the amount must be a positive number",
      kind = errors.INVALID,
      retryable = false,
    })
  end
  print("charged", request.amount)
  return { id = "pay-" .. tostring(request.customer), amount = request.amount }
end

local function refund(payment_id)
  print("refunded", payment_id)
  return { refunded = payment_id }
end

return { charge = charge, refund = refund }
