---@meta ctx

--- Context values, which flow on to all that is called or spawned below.
---@class ctx
local ctx = {}

--- A value; NOT_FOUND when there is none.
---@param key string
---@return any value
---@return saros.Error? err
function ctx.get(key) end

--- A copy of all values.
---@return table<string, any>
function ctx.all() end

return ctx
