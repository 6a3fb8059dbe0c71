---@meta activity

--- What a function may know and tell while it runs as an activity.
---@class activity
local activity = {}

---@class saros.ActivityInfo
---@field activity_id string
---@field attempt integer 1 is the first.
---@field workflow_id string
---@field task_queue string
---@field scheduled_time integer Nanoseconds since 1970.
---@field heartbeat_details? any What the last attempt recorded.

--- INVALID when this is no activity.
---@return saros.ActivityInfo? info
---@return saros.Error? err
function activity.info() end

--- Tell that the activity lives; the details reach the next attempt.
---@param details? any
---@return true? ok
---@return saros.Error? err
function activity.heartbeat(details) end

--- Whether the workflow no longer wants the result.
---@return boolean
function activity.is_canceled() end

return activity
