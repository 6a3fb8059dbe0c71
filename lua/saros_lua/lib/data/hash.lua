-- The hash module: digests and keyed digests as hexadecimal text, or as bytes when `raw` is true.
local rt = ...
rt.lasting()
local raw = rt.raw
local type = raw.type
local byte = raw.string.byte
local env_type = rt.env.type

local function not_text(name, what, value)
  return rt.fail("Invalid", "hash." .. name .. " expects " .. what .. ", a string, not a " .. env_type(value))
end

local function host(...)
  local ok, result, why = rt.host(...)
  if not ok then
    return rt.fail(result, why)
  end
  return result, nil
end

local hash = {}

local ALGORITHMS = { "md5", "sha1", "sha256", "sha512" }
for i = 1, #ALGORITHMS do
  local algorithm = ALGORITHMS[i]
  hash[algorithm] = function(data, as_bytes)
    if type(data) ~= "string" then
      return not_text(algorithm, "data", data)
    end
    return host("hash_digest", algorithm, data, as_bytes == true)
  end
  hash["hmac_" .. algorithm] = function(data, key, as_bytes)
    if type(data) ~= "string" then
      return not_text("hmac_" .. algorithm, "data", data)
    elseif type(key) ~= "string" then
      return not_text("hmac_" .. algorithm, "a key", key)
    end
    return host("hash_hmac", algorithm, data, key, as_bytes == true)
  end
end

-- FNV-1a. The integers of Lua wrap at 64 bits, as the algorithm requires.
local function fnv(name, offset, prime, mask)
  return function(data)
    if type(data) ~= "string" then
      return not_text(name, "data", data)
    end
    local sum = offset
    for i = 1, #data do
      sum = (sum ~ byte(data, i)) * prime & mask
    end
    return sum, nil
  end
end

hash.fnv32 = fnv("fnv32", 0x811c9dc5, 0x01000193, 0xffffffff)
hash.fnv64 = fnv("fnv64", 0xcbf29ce484222325, 0x100000001b3, -1)

return hash
