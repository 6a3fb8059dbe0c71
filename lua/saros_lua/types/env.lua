---@meta env

--- Variables of the process environment, and those of `env.variable` entries. In functions and processes only.
---@class env
local env = {}

--- The value of a variable; NOT_FOUND when it is not set and no entry gives a default.
---@param name string Its name in the environment, or the id or name of its entry.
---@return string? value
---@return saros.Error? err
function env.get(name) end

--- All variables, by their names.
---@return table<string, string>? variables
---@return saros.Error? err
function env.get_all() end

return env
