local activity = require("activity")
return { main = function(failures, kind)
  local info = activity.info()
  if info.attempt <= failures then
    return nil, require("errors").new{message = "try " .. info.attempt, kind = kind or "Unavailable"}
  end
  return info.attempt
end }
