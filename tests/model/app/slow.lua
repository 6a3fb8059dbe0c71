-- Takes long enough to be running when it is cancelled.
return function(value)
  require("time").sleep("40ms")
  return value
end
