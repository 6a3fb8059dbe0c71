---@meta payload

--- Values together with the format that they are in.
---@class payload
---@field format saros.PayloadFormats
payload = {}

--- The formats of payloads.
---@class saros.PayloadFormats
---@field JSON "json/plain"
---@field YAML "yaml/plain"
---@field STRING "text/plain"
---@field BYTES "application/octet-stream"
---@field MSGPACK "application/msgpack"
---@field LUA "lua/any"
---@field GOLANG "golang/any"
---@field ERROR "golang/error"

--- A payload; sealed userdata. Inside a value that crosses a boundary, it becomes its own value.
---@class saros.Payload: userdata
local Payload = {}

--- The data: a Lua value, or a string in the payload's format.
---@return any
function Payload:data() end

--- A copy of the payload's value.
---@return any value
---@return saros.Error? err
function Payload:unmarshal() end

--- One of `payload.format`.
---@return string
function Payload:get_format() end

--- Convert the value to another format; INTERNAL when that is not possible.
---@param format string
---@return saros.Payload? payload
---@return saros.Error? err
function Payload:transcode(format) end

--- Make a payload of a value; a payload is returned as it is.
---@param value any
---@return saros.Payload
function payload.new(value) end

return payload
