---@meta channel

--- Go's channels, for the coroutines of one execution.
---@class channel
channel = {}

--- A channel; sealed userdata.
---@class saros.Channel: userdata
local Channel = {}

--- Send a value; blocks until it is received or buffered. Raises on a closed channel.
---@param value any
---@return true sent
function Channel:send(value) end

--- Receive a value; blocks until there is one. `nil, false` once the channel is closed and drained.
---@return any value
---@return boolean ok
function Channel:receive() end

--- Close the channel: receivers wake with `nil, false`, senders raise. Closing again does nothing.
function Channel:close() end

--- A case of `channel.select` that sends.
---@param value any
---@return saros.ChannelCase
function Channel:case_send(value) end

--- A case of `channel.select` that receives.
---@return saros.ChannelCase
function Channel:case_receive() end

--- A case of `channel.select`; made by `case_send` and `case_receive`.
---@class saros.ChannelCase: userdata

---@class saros.Selected
---@field channel? saros.Channel The channel of the case that took effect.
---@field value? any The value that was received.
---@field ok boolean `false` when the channel was closed.
---@field default? boolean `true` when nothing was ready.

--- Make a channel with room for `capacity` values; with 0 (the default), each sender waits for a receiver.
---@param capacity? integer
---@return saros.Channel
function channel.new(capacity) end

--- Wait until one case takes effect; if several are ready, the first one listed wins. With `default = true` it never blocks.
---@param cases saros.ChannelCase[]|{default: boolean?}
---@return saros.Selected
function channel.select(cases) end

return channel
