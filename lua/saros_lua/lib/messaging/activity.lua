-- The activity module: information and heartbeats of a function that runs as an activity.
local rt = ...
rt.lasting()
local raw = rt.raw

local function outside(what)
  return rt.fail("Invalid", "activity." .. what .. ": this function does not run as an activity of a workflow")
end

local function is_activity()
  local info = rt.start.info
  return info ~= nil and info.activity_id ~= nil
end

local activity = {}

function activity.info()
  if not is_activity() then
    return outside("info")
  end
  return rt.decode(rt.encode(rt.start.info, "info")), nil -- a copy, which the caller may change
end

-- Reports that the activity is alive; `details` reach the next attempt as info().heartbeat_details.
function activity.heartbeat(details)
  if not is_activity() then
    return outside("heartbeat")
  end
  local encoded, json = raw.pcall(rt.encode, details, "details")
  if not encoded then
    return rt.fail("Invalid", json)
  end
  local ok, kind, why = rt.host("heartbeat", json)
  if not ok then
    return rt.fail(kind, why)
  end
  return true, nil
end

function activity.is_canceled()
  local ok, canceled, why = rt.host("is_canceled")
  if not ok then
    return rt.fail(canceled, why)
  end
  return canceled
end

return activity
