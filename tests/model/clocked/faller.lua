return function()
  require("funcs").call("app:fall")
  return nil, errors.new({ message = "fell", kind = errors.UNAVAILABLE, retryable = true })
end
