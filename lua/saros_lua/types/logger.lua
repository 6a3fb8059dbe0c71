---@meta logger

--- The structured log; silent during a replay. Called with a colon.
---@class logger
local logger = {}

---@param message string
---@param fields? table
function logger:debug(message, fields) end

---@param message string
---@param fields? table
function logger:info(message, fields) end

---@param message string
---@param fields? table
function logger:warn(message, fields) end

---@param message string
---@param fields? table
function logger:error(message, fields) end

--- A logger that adds fields to each record.
---@param fields table
---@return saros.Logger
function logger:with(fields) end

--- A logger with a name; a logger that has one appends the new part. INVALID when the name is empty.
---@param name string
---@return saros.Logger? logger
---@return saros.Error? err
function logger:named(name) end

--- A logger with fields of its own.
---@class saros.Logger: userdata
local Logger = {}

---@param message string
---@param fields? table
function Logger:debug(message, fields) end

---@param message string
---@param fields? table
function Logger:info(message, fields) end

---@param message string
---@param fields? table
function Logger:warn(message, fields) end

---@param message string
---@param fields? table
function Logger:error(message, fields) end

---@param fields table
---@return saros.Logger
function Logger:with(fields) end

---@param name string
---@return saros.Logger? logger
---@return saros.Error? err
function Logger:named(name) end

return logger
