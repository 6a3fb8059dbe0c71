---@meta crypto

--- Random values, keyed digests, ciphers, JSON web tokens. Wrong sizes and empty keys are INVALID.
---@class crypto
---@field random saros.CryptoRandom
---@field hmac saros.CryptoHmac
---@field encrypt saros.CryptoEncrypt
---@field decrypt saros.CryptoDecrypt
---@field jwt saros.CryptoJwt
local crypto = {}

---@class saros.CryptoRandom
local random = {}

---@param length integer
---@return string? bytes
---@return saros.Error? err
function random.bytes(length) end

--- Letters and digits, or the characters of `charset`.
---@param length integer
---@param charset? string
---@return string? text
---@return saros.Error? err
function random.string(length, charset) end

---@return string
function random.uuid() end

---@class saros.CryptoHmac
local hmac = {}

---@param key string
---@param data string
---@return string? digest Hexadecimal.
---@return saros.Error? err
function hmac.sha256(key, data) end

---@param key string
---@param data string
---@return string? digest Hexadecimal.
---@return saros.Error? err
function hmac.sha512(key, data) end

--- Encrypt; returns nonce, ciphertext and tag in one string.
---@class saros.CryptoEncrypt
local encrypt = {}

---@param data string
---@param key string 16, 24 or 32 bytes.
---@param aad? string
---@return string? data
---@return saros.Error? err
function encrypt.aes(data, key, aad) end

---@param data string
---@param key string 32 bytes.
---@param aad? string
---@return string? data
---@return saros.Error? err
function encrypt.chacha20(data, key, aad) end

--- Decrypt; INTERNAL when key, data or aad differ from those of the encryption.
---@class saros.CryptoDecrypt
local decrypt = {}

---@param data string
---@param key string 16, 24 or 32 bytes.
---@param aad? string
---@return string? data
---@return saros.Error? err
function decrypt.aes(data, key, aad) end

---@param data string
---@param key string 32 bytes.
---@param aad? string
---@return string? data
---@return saros.Error? err
function decrypt.chacha20(data, key, aad) end

---@class saros.CryptoJwt
local jwt = {}

--- A signed token; `claims._header` holds fields of the header. Algorithms: HS256 (the default), HS384, HS512 with a secret; RS256, RS384, RS512, ES256, ES384 with a private key in PEM.
---@param claims table
---@param key string
---@param algorithm? "HS256"|"HS384"|"HS512"
---@return string? token
---@return saros.Error? err
function jwt.encode(claims, key, algorithm) end

--- The claims of a token whose signature (and, unless `check_times` is false, `exp` and `nbf`) are valid. RS and ES algorithms need the public key in PEM.
---@param token string
---@param key string
---@param algorithm? "HS256"|"HS384"|"HS512"
---@param check_times? boolean
---@return table? claims
---@return saros.Error? err
function jwt.verify(token, key, algorithm, check_times) end

--- Derive a key from a password.
---@param password string
---@param salt string
---@param iterations integer
---@param key_length integer Bytes.
---@param algorithm? "sha256"|"sha512"
---@return string? key
---@return saros.Error? err
function crypto.pbkdf2(password, salt, iterations, key_length, algorithm) end

--- Compare two strings in a time that does not depend on where they differ.
---@param a string
---@param b string
---@return boolean? same
---@return saros.Error? err
function crypto.constant_time_compare(a, b) end

return crypto
