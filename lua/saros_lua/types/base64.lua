---@meta base64

--- Base64 with the standard alphabet and padding.
---@class base64
local base64 = {}

---@param data string
---@return string? text
---@return saros.Error? err
function base64.encode(data) end

--- Decode; INVALID when the string is not base64.
---@param text string
---@return string? data
---@return saros.Error? err
function base64.decode(text) end

return base64
