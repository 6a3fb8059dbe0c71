---@meta activity

--- Information and heartbeats of a function that runs as an activity.
---@class activity
local activity = {}

---@class saros.ActivityInfo
---@field activity_id string
---@field attempt integer 1 is the first.
---@field workflow_id string
---@field task_queue string
---@field scheduled_time integer Nanoseconds since 1970.
---@field heartbeat_details? any The details that the last attempt recorded.

--- Information about the current attempt; INVALID when the function does not run as an activity.
---@return saros.ActivityInfo? info
---@return saros.Error? err
function activity.info() end

--- Report that the activity is alive; the details reach the next attempt.
---@param details? any
---@return true? ok
---@return saros.Error? err
function activity.heartbeat(details) end

--- Whether the workflow has cancelled the call.
---@return boolean
function activity.is_canceled() end

return activity
