---@meta ctx

--- Context values, which flow on to everything that is called or spawned from here.
---@class ctx
local ctx = {}

--- The value of a key; NOT_FOUND if there is none.
---@param key string
---@return any value
---@return saros.Error? err
function ctx.get(key) end

--- A copy of all values.
---@return table<string, any>
function ctx.all() end

return ctx
