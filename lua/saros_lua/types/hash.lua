---@meta hash

--- Digests as hexadecimal text, or as bytes when `raw` is true.
---@class hash
local hash = {}

---@param data string
---@param raw? boolean
---@return string? digest
---@return saros.Error? err
function hash.md5(data, raw) end

---@param data string
---@param raw? boolean
---@return string? digest
---@return saros.Error? err
function hash.sha1(data, raw) end

---@param data string
---@param raw? boolean
---@return string? digest
---@return saros.Error? err
function hash.sha256(data, raw) end

---@param data string
---@param raw? boolean
---@return string? digest
---@return saros.Error? err
function hash.sha512(data, raw) end

---@param data string
---@param key string
---@param raw? boolean
---@return string? digest
---@return saros.Error? err
function hash.hmac_md5(data, key, raw) end

---@param data string
---@param key string
---@param raw? boolean
---@return string? digest
---@return saros.Error? err
function hash.hmac_sha1(data, key, raw) end

---@param data string
---@param key string
---@param raw? boolean
---@return string? digest
---@return saros.Error? err
function hash.hmac_sha256(data, key, raw) end

---@param data string
---@param key string
---@param raw? boolean
---@return string? digest
---@return saros.Error? err
function hash.hmac_sha512(data, key, raw) end

--- The 32-bit FNV-1a hash, an integer.
---@param data string
---@return integer? sum
---@return saros.Error? err
function hash.fnv32(data) end

--- The 64-bit FNV-1a hash, an integer.
---@param data string
---@return integer? sum
---@return saros.Error? err
function hash.fnv64(data) end

return hash
