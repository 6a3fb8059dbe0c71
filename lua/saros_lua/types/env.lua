---@meta env

--- Variables of the process environment. In functions and processes only.
---@class env
local env = {}

--- A variable; NOT_FOUND when it is not set.
---@param name string
---@return string? value
---@return saros.Error? err
function env.get(name) end

return env
