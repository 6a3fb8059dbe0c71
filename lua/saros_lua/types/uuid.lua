---@meta uuid

--- UUIDs; in workflows made from the run's seed.
---@class uuid
local uuid = {}

--- Version 1, from the time and a random node.
---@return string
function uuid.v1() end

--- Version 4, random.
---@return string
function uuid.v4() end

--- Version 7, from the time; later ones sort after earlier ones.
---@return string
function uuid.v7() end

--- Version 3, from a namespace (a UUID) and a name, with MD5.
---@param namespace string
---@param name string
---@return string? uuid
---@return saros.Error? err
function uuid.v3(namespace, name) end

--- Version 5, from a namespace (a UUID) and a name, with SHA-1.
---@param namespace string
---@param name string
---@return string? uuid
---@return saros.Error? err
function uuid.v5(namespace, name) end

--- Whether a value is a UUID; never fails.
---@param text any
---@return boolean
function uuid.validate(text) end

---@param text string
---@return integer? version
---@return saros.Error? err
function uuid.version(text) end

---@param text string
---@return "NCS"|"RFC4122"|"Microsoft"|"Future"|nil variant
---@return saros.Error? err
function uuid.variant(text) end

--- The parts; the timestamp is in seconds since 1970.
---@param text string
---@return {version: integer, variant: string, timestamp: integer?, node: string?}? parts
---@return saros.Error? err
function uuid.parse(text) end

---@param text string
---@param style? "standard"|"simple"|"urn"
---@return string? uuid
---@return saros.Error? err
function uuid.format(text, style) end

return uuid
