---@meta _

-- What Lua's own libraries have besides Lua 5.4's.

--- Run `fn(...)` in a new coroutine, concurrently with this one.
---@param fn fun(...: any)
---@param ... any
function coroutine.spawn(fn, ...) end

--- Make an empty table with room for items and keys.
---@param narr integer
---@param nhash? integer
---@return table
function table.create(narr, nhash) end

unpack = table.unpack

---@param x number
---@param y number
---@return number
function math.pow(x, y) end

---@param x number
---@return number
function math.log10(x) end

---@param y number
---@param x number
---@return number
function math.atan2(y, x) end

---@param x number
---@return number
function math.sinh(x) end

---@param x number
---@return number
function math.cosh(x) end

---@param x number
---@return number
function math.tanh(x) end

---@param m number
---@param e integer
---@return number
function math.ldexp(m, e) end

---@param x number
---@return number m
---@return integer e
function math.frexp(x) end
