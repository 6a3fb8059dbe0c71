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

--- A payload; sealed userdata. Inside values it crosses boundaries as what it stands for.
---@class saros.Payload: userdata
local Payload = {}

--- The data: a Lua value, or a text in the payload's format.
---@return any
function Payload:data() end

--- A copy of the value that the payload stands for.
---@return any value
---@return saros.Error? err
function Payload:unmarshal() end

--- One of `payload.format`.
---@return string
function Payload:get_format() end

--- The same value in another format; fails with INTERNAL.
---@param format string
---@return saros.Payload? payload
---@return saros.Error? err
function Payload:transcode(format) end

--- A payload of a value; a payload is one already.
---@param value any
---@return saros.Payload
function payload.new(value) end

return payload
