---@meta process

--- Functions, processes and workflows: pids, messages, events, spawning, names.
---@class process
---@field event saros.EventKinds
---@field registry saros.Registry
process = {}

--- A pid (a string), a registered name, or the id of a workflow.
---@alias saros.Destination string

--- Kinds of events.
---@class saros.EventKinds
---@field EXIT "EXIT" A monitored or linked peer has ended.
---@field CANCEL "CANCEL" This execution is asked to end.
---@field LINK_DOWN "LINK_DOWN" A linked peer has failed, and links are trapped.
---@field OUTDATED "OUTDATED" The code has changed.

---@class saros.Event
---@field kind "EXIT"|"CANCEL"|"LINK_DOWN"|"OUTDATED"
---@field from string The pid of the sender.
---@field result? {value: any, error: saros.Error?} Of EXIT and LINK_DOWN.
---@field error? saros.Error The same as `result.error`.
---@field reason? string Of CANCEL.

--- A message; sealed userdata.
---@class saros.Message: userdata
local Message = {}

---@return string
function Message:topic() end

--- The sender's pid; empty for a message from outside.
---@return string
function Message:from() end

--- One payload per value that was sent; one payload of `nil` if there was none.
---@return saros.Payload ...
function Message:payload() end

--- This execution's pid.
---@return string
function process.pid() end

--- This execution's entry id and instance.
---@return string
function process.id() end

--- Send a message; NOT_FOUND when the destination is unknown or has ended. A workflow's message to a process or
--- function is accepted at once. Topics that begin with `@` are reserved.
---@param dest saros.Destination
---@param topic string
---@param ... any
---@return true? ok
---@return saros.Error? err
function process.send(dest, topic, ...) end

--- The channel of messages (`saros.Message`) that no listener takes.
---@return saros.Channel
function process.inbox() end

--- The channel of a topic's values, or of its messages.
---@param topic string
---@param options? {message: boolean}
---@return saros.Channel? channel
---@return saros.Error? err
function process.listen(topic, options) end

--- Stop listening: later messages on the topic are dropped until it is listened to again. `false` when the channel is
--- not a listener's.
---@param channel saros.Channel
---@return boolean
function process.unlisten(channel) end

--- The channel of events (`saros.Event`). Code that has called this handles CANCEL itself: its blocking calls are not, or no longer, cancelled.
---@return saros.Channel
function process.events() end

--- Start a process on a process host, or a workflow on a worker.
---@param entry string
---@param host string
---@param ... any
---@return string? pid
---@return saros.Error? err
function process.spawn(entry, host, ...) end

--- Like `spawn`; the end arrives as EXIT.
---@param entry string
---@param host string
---@param ... any
---@return string? pid
---@return saros.Error? err
function process.spawn_monitored(entry, host, ...) end

--- Like `spawn`, and linked. Not in workflows.
---@param entry string
---@param host string
---@param ... any
---@return string? pid
---@return saros.Error? err
function process.spawn_linked(entry, host, ...) end

--- Like `spawn`, linked and monitored. Not in workflows.
---@param entry string
---@param host string
---@param ... any
---@return string? pid
---@return saros.Error? err
function process.spawn_linked_monitored(entry, host, ...) end

--- Start and wait for the result.
---@param entry string
---@param host string
---@param ... any
---@return any result
---@return saros.Error? err
function process.exec(entry, host, ...) end

--- An immutable spawner: each `with_` method returns a new one.
---@class saros.Spawner: userdata
local Spawner = {}

---@param values table
---@return saros.Spawner? spawner
---@return saros.Error? err
function Spawner:with_context(values) end

---@param options saros.StartOptions
---@return saros.Spawner? spawner
---@return saros.Error? err
function Spawner:with_options(options) end

--- Register the new execution under a name, which reaches it while it runs.
---@param name string
---@return saros.Spawner? spawner
---@return saros.Error? err
function Spawner:with_name(name) end

--- Send a message that the new execution finds before all others; repeatable.
---@param topic string
---@param ... any
---@return saros.Spawner? spawner
---@return saros.Error? err
function Spawner:with_message(topic, ...) end

---@param entry string
---@param host string
---@param ... any
---@return string? pid
---@return saros.Error? err
function Spawner:spawn(entry, host, ...) end

---@param entry string
---@param host string
---@param ... any
---@return string? pid
---@return saros.Error? err
function Spawner:spawn_monitored(entry, host, ...) end

---@param entry string
---@param host string
---@param ... any
---@return string? pid
---@return saros.Error? err
function Spawner:spawn_linked(entry, host, ...) end

---@param entry string
---@param host string
---@param ... any
---@return string? pid
---@return saros.Error? err
function Spawner:spawn_linked_monitored(entry, host, ...) end

---@param entry string
---@param host string
---@param ... any
---@return any result
---@return saros.Error? err
function Spawner:exec(entry, host, ...) end

--- Options of a start; each key also with the prefix `temporal.`. Unknown keys are ignored; numbers are milliseconds (in http_client: seconds).
---@class saros.StartOptions
---@field ["workflow.id"]? string
---@field ["workflow.namespace"]? string The worker's namespace; any other is INVALID.
---@field ["workflow.task_queue"]? string
---@field ["workflow.execution_timeout"]? saros.DurationLike
---@field ["workflow.run_timeout"]? saros.DurationLike
---@field ["workflow.task_timeout"]? saros.DurationLike
---@field ["workflow.id_conflict_policy"]? "use_existing"|"fail"|"terminate_existing"
---@field ["workflow.id_reuse_policy"]? "allow_duplicate"|"allow_duplicate_failed_only"|"reject_duplicate"
---@field ["workflow.execution_error_when_already_started"]? boolean
---@field ["workflow.retry_policy"]? saros.RetryPolicy
---@field ["workflow.cron_schedule"]? string
---@field ["workflow.memo"]? table
---@field ["workflow.search_attributes"]? table
---@field ["workflow.start_delay"]? saros.DurationLike
---@field ["workflow.enable_eager_start"]? boolean On Temporal: a worker of this process may start it without a trip through the task queue.
---@field ["workflow.parent_close_policy"]? "terminate"|"abandon"|"request_cancel"
---@field ["workflow.wait_for_cancellation"]? boolean

--- A spawner with context values.
---@param values table
---@return saros.Spawner? spawner
---@return saros.Error? err
function process.with_context(values) end

--- A spawner with start options.
---@param options saros.StartOptions
---@return saros.Spawner? spawner
---@return saros.Error? err
function process.with_options(options) end

--- Get the end of an execution as EXIT.
---@param dest saros.Destination
---@return true? ok
---@return saros.Error? err
function process.monitor(dest) end

---@param dest saros.Destination
---@return true? ok
---@return saros.Error? err
function process.unmonitor(dest) end

--- Link two executions: when one of them fails, so does the other. Not in workflows.
---@param dest saros.Destination
---@return true? ok
---@return saros.Error? err
function process.link(dest) end

---@param dest saros.Destination
---@return true? ok
---@return saros.Error? err
function process.unlink(dest) end

--- Ask an execution to end: it gets CANCEL, and its blocking calls fail with CANCELED unless it has called `events`.
---@param dest saros.Destination
---@param reason? string
---@return true? ok
---@return saros.Error? err
function process.cancel(dest, reason) end

--- End an execution at once.
---@param dest saros.Destination
---@return true? ok
---@return saros.Error? err
function process.terminate(dest) end

--- Describe a workflow. In functions and processes only.
---@param dest saros.Destination
---@return table? description
---@return saros.Error? err
function process.describe(dest) end

--- The events of a workflow since a cursor; waits for more. In functions and processes only.
---@param dest saros.Destination
---@param cursor? string
---@return {events: table[], cursor: string?, status: string}? history
---@return saros.Error? err
function process.history(dest, cursor) end

--- Call a query handler of a workflow (`workflow.on_query`). In functions and processes only.
---@param dest saros.Destination
---@param name string
---@param ... any
---@return any answer
---@return saros.Error? err
function process.query(dest, name, ...) end

--- Call an update handler of a workflow (`workflow.on_update`) and wait for its result. An update that is not
--- valid fails with the error of its validator. In functions and processes only.
---@param dest saros.Destination
---@param name string
---@param ... any
---@return any answer
---@return saros.Error? err
function process.update(dest, name, ...) end

---@return {trap_links: boolean, upgradable: boolean}
function process.get_options() end

--- With `trap_links`, a failing peer causes LINK_DOWN instead of failing this execution; with `upgradable`, this execution gets OUTDATED when its code is reloaded. Absent options keep their values.
---@param options {trap_links?: boolean, upgradable?: boolean}
---@return true? ok
---@return saros.Error? err
function process.set_options(options) end

--- Start over with the code of another entry (`nil`: the same entry); pid, name, mail and watchers stay.
---@param entry? string
---@param ... any
---@return nil
---@return saros.Error? err
function process.upgrade(entry, ...) end

--- Names of executions.
---@class saros.Registry
---@field LOCAL "local" The only scope, and the default: names reach every worker of the app.
---@field GLOBAL "global" INVALID: there is no such scope.
local Registry = {}

--- Register a name for a pid (default: this execution's); ALREADY_EXISTS when another pid has it.
---@param name string
---@param pid? string
---@param scope? string
---@return true? ok
---@return saros.Error? err
function Registry.register(name, pid, scope) end

---@param name string
---@param scope? string
---@return string? pid
---@return saros.Error? err
function Registry.lookup(name, scope) end

--- Free a name; `false` when it was free.
---@param name string
---@param scope? string
---@return boolean? freed
---@return saros.Error? err
function Registry.unregister(name, scope) end

return process
