---@meta funcs

--- Calls of functions; from a workflow they run as activities.
---@class funcs
local funcs = {}

--- A Go-style string such as `"1h30m"`, a `saros.Duration`, or a number: nanoseconds, but milliseconds inside options.
---@alias saros.DurationLike string|number|saros.Duration

--- How failed attempts are retried.
---@class saros.RetryPolicy
---@field initial_interval? saros.DurationLike Default: 1 s.
---@field backoff_coefficient? number Default: 2.
---@field maximum_interval? saros.DurationLike Default: 100 s.
---@field maximum_attempts? integer 0, the default: without limit.
---@field non_retryable_error_types? string[] Kinds of errors.

--- Options of calls; each `activity.` key also with the prefix `temporal.`. Unknown keys are ignored.
---@class saros.CallOptions
---@field ["activity.start_to_close_timeout"]? saros.DurationLike Of each attempt; default: 10 minutes.
---@field ["activity.schedule_to_close_timeout"]? saros.DurationLike Of all attempts together.
---@field ["activity.schedule_to_start_timeout"]? saros.DurationLike Until a worker takes the call.
---@field ["activity.heartbeat_timeout"]? saros.DurationLike Between two heartbeats.
---@field ["activity.id"]? string
---@field ["activity.task_queue"]? string A worker elsewhere, in any language.
---@field ["activity.wait_for_cancellation"]? boolean
---@field ["activity.local"]? boolean Run inside the workflow's own task.
---@field ["activity.disable_eager_execution"]? boolean On Temporal: the call goes through the task queue even where its worker has a free slot.
---@field ["activity.retry_policy"]? saros.RetryPolicy
---@field timeout? saros.DurationLike Outside workflows only.

--- Call a function and wait for its result.
---@param id string namespace:name
---@param ... any
---@return any result
---@return saros.Error? err
function funcs.call(id, ...) end

--- Call a function without waiting.
---@param id string namespace:name
---@param ... any
---@return saros.Future? future
---@return saros.Error? err
function funcs.async(id, ...) end

--- An executor without options.
---@return saros.Executor
function funcs.new() end

--- Calls functions with context and options; immutable: each method gives a new one.
---@class saros.Executor: userdata
local Executor = {}

---@param values table
---@return saros.Executor? executor
---@return saros.Error? err
function Executor:with_context(values) end

---@param options saros.CallOptions
---@return saros.Executor? executor
---@return saros.Error? err
function Executor:with_options(options) end

---@param id string
---@param ... any
---@return any result
---@return saros.Error? err
function Executor:call(id, ...) end

---@param id string
---@param ... any
---@return saros.Future? future
---@return saros.Error? err
function Executor:async(id, ...) end

--- The future result of a call.
---@class saros.Future: userdata
local Future = {}

--- The channel that yields the result once: a payload, or the error.
---@return saros.Channel
function Future:channel() end

--- The same as `channel`.
---@return saros.Channel
function Future:response() end

---@return boolean
function Future:is_complete() end

---@return boolean
function Future:is_canceled() end

--- The result of a completed call; `nil, nil` while the call is under way.
---@return saros.Payload? payload
---@return saros.Error? err
function Future:result() end

---@return saros.Error? err
---@return boolean failed
function Future:error() end

--- Cancel the call; `false` when it is already complete.
---@return boolean
function Future:cancel() end

return funcs
