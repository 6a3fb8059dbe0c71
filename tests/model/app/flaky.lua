-- Fails on its first attempts, then returns the number of the attempt.
return function(failures)
  local attempt = require("activity").info().attempt
  if attempt <= failures then
    return nil, errors.new({ message = "attempt " .. attempt, kind = errors.UNAVAILABLE })
  end
  return attempt
end
