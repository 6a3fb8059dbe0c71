---@meta errors

--- Structured errors. A failing function returns `nil, err`; `err` is a `saros.Error`.
---@class errors
---@field NOT_FOUND "NotFound"
---@field ALREADY_EXISTS "AlreadyExists"
---@field INVALID "Invalid"
---@field PERMISSION_DENIED "PermissionDenied"
---@field UNAVAILABLE "Unavailable"
---@field INTERNAL "Internal"
---@field CANCELED "Canceled"
---@field CONFLICT "Conflict"
---@field TIMEOUT "Timeout"
---@field RATE_LIMITED "RateLimited"
---@field UNKNOWN "" The kind of an error that has none.
errors = {}

--- An error: sealed userdata. `tostring(err)` shows context and message; `..` joins it to strings.
---@class saros.Error: userdata
local Error = {}

--- The message, without context.
---@return string
function Error:message() end

--- One of the constants of `errors`, or a kind of your own.
---@return string
function Error:kind() end

--- Whether a retry may help: `true`, `false`, or `nil` when it was not set (then the kind decides).
---@return boolean?
function Error:retryable() end

--- A copy of the details, or `nil` if there are none.
---@return table?
function Error:details() end

--- The stack where the error was made, one line per frame.
---@return string
function Error:stack() end

---@class saros.ErrorFields
---@field message? string
---@field kind? string
---@field retryable? boolean
---@field details? table Data; empty details become `nil`.

--- Make an error from a message, from fields, or from a kind and a message. Raises when a field has the wrong type.
---@overload fun(kind: string, message: string): saros.Error
---@param what string|saros.ErrorFields
---@return saros.Error
function errors.new(what) end

--- Put a context in front of an error; kind, message, retryable and details stay the same.
---@param err saros.Error|string
---@param context string
---@return saros.Error
function errors.wrap(err, context) end

--- Whether a value is an error of that kind; `false` for values that are not errors.
---@param value any
---@param kind string
---@return boolean
function errors.is(value, kind) end

--- The frames of an error's stack.
---@param err saros.Error
---@return {thread: string, frames: {source: string, line: integer, name: string}[]}? stack
---@return saros.Error? err
function errors.call_stack(err) end

return errors
