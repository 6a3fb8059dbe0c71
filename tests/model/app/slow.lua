-- Takes its time, so that it is under way when it is cancelled.
return function(value)
  require("time").sleep("40ms")
  return value
end
