---@meta json

--- JSON and JSON Schema.
---@class json
local json = {}

--- Encode a value as JSON; an empty table is `[]`, and `10 / 2` is `5`. INTERNAL for values that JSON cannot hold.
---@param value any
---@return string? text
---@return saros.Error? err
function json.encode(value) end

--- Decode a JSON string; INVALID when it is empty, INTERNAL when it is malformed.
---@param text string
---@return any value
---@return saros.Error? err
function json.decode(text) end

--- Whether data matches a schema.
---@param schema table|string|boolean
---@param data any
---@return boolean valid
---@return saros.Error? err
function json.validate(schema, data) end

--- Whether a JSON string matches a schema.
---@param schema table|string|boolean
---@param text string
---@return boolean valid
---@return saros.Error? err
function json.validate_string(schema, text) end

return json
