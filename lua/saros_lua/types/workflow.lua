---@meta workflow

--- Functions for workflow code only.
---@class workflow
local workflow = {}

---@class saros.WorkflowInfo
---@field workflow_id string
---@field run_id string
---@field workflow_type string
---@field task_queue string
---@field namespace string
---@field attempt integer
---@field history_length integer
---@field history_size integer Bytes.
---@field start_time integer Nanoseconds since 1970.
---@field parent? string Pid of the parent.
---@field search_attributes? table
---@field first_run_id? string
---@field continued_from? string

---@return saros.WorkflowInfo
function workflow.info() end

--- The version of a change for this execution: max for new executions, min for those that passed this point before the change.
---@param change_id string
---@param min_supported integer
---@param max_supported integer
---@return integer
function workflow.version(change_id, min_supported, max_supported) end

--- Set search attributes and memo fields.
---@param attributes {search: table?, memo: table?}
---@return true? ok
---@return saros.Error? err
function workflow.attrs(attributes) end

---@return integer
function workflow.history_length() end

--- Bytes.
---@return integer
function workflow.history_size() end

--- Run a child workflow on the worker that its entry names, and wait for it.
---@param id string
---@param ... any
---@return any result
---@return saros.Error? err
function workflow.call(id, ...) end

--- The same as `call`.
---@param id string
---@param ... any
---@return any result
---@return saros.Error? err
function workflow.exec(id, ...) end

--- Start over with new arguments and an empty history; unread messages, and a cancellation that the code has not met, go along.
---@param ... any
---@return nil
---@return saros.Error? err
function workflow.continue_as_new(...) end

--- Register a query handler, which may neither block nor change anything.
---@param name string
---@param fn fun(...: any): any
function workflow.on_query(name, fn) end

--- Register an update handler. The validator rejects an update by raising an error or by returning false.
---@param name string
---@param fn fun(...: any): any
---@param validator? fun(...: any): any
function workflow.on_update(name, fn, validator) end

--- Run `fn` once and record its value; a replay gets the recorded value.
---@generic T
---@param fn fun(): T
---@return T
function workflow.side_effect(fn) end

return workflow
