-- The crypto module. The host does the arithmetic; random bits come from the execution, so that
-- workflows replay them.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, next = raw.type, raw.next
local integer = raw.math.tointeger
local byte, find, sub = raw.string.byte, raw.string.find, raw.string.sub
local env_type = rt.env.type

local MAX_RANDOM = 1048576
local NONCE = 12 -- bytes; of both ciphers
local ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

local function invalid(message)
  return rt.fail("Invalid", "crypto." .. message)
end

local function host(...)
  local ok, result, why = rt.host(...)
  if not ok then
    return rt.fail(result, why)
  end
  return result, nil
end

-- The message for a value that is not a suitable string, or nil.
local function wrong(what, value, may_be_empty)
  if type(value) ~= "string" then
    return what .. " must be a text, not a " .. env_type(value)
  elseif value == "" and not may_be_empty then
    return what .. " must not be empty"
  end
end

local function count_of(value, highest)
  local n = type(value) == "number" and integer(value)
  return n and n >= 1 and n <= highest and n or nil
end

local crypto = { random = {}, hmac = {}, encrypt = {}, decrypt = {}, jwt = {} }

-- Random -------------------------------------------------------------------------------------------

function crypto.random.bytes(length)
  local n = count_of(length, MAX_RANDOM)
  if not n then
    return invalid("random.bytes expects a length of 1 to " .. MAX_RANDOM)
  end
  return rt.random_bytes(n), nil
end

-- Bytes at or above the largest multiple of the charset's size are dropped: every character is equally likely.
function crypto.random.string(length, charset)
  local n = count_of(length, MAX_RANDOM)
  if charset == nil then
    charset = ALPHANUMERIC
  end
  if not n then
    return invalid("random.string expects a length of 1 to " .. MAX_RANDOM)
  elseif type(charset) ~= "string" or charset == "" or #charset > 256 or find(charset, "[\x80-\xff]") then
    return invalid("random.string expects a charset of 1 to 256 ASCII characters")
  end
  local size, chars, made = #charset, {}, 0
  local limit = 256 - 256 % size
  while made < n do
    local bytes = rt.random_bytes(raw.math.min(n - made, 4096))
    for i = 1, #bytes do
      local b = byte(bytes, i)
      if b < limit then
        made = made + 1
        local at = b % size + 1
        chars[made] = sub(charset, at, at)
      end
    end
  end
  return raw.table.concat(chars), nil
end

function crypto.random.uuid()
  return rt.library("uuid").v4()
end

-- Keyed digests --------------------------------------------------------------------------------------

local function hmac(algorithm)
  return function(key, data)
    local why = wrong("the key", key) or wrong("data", data, true)
    if why then
      return invalid("hmac." .. algorithm .. ": " .. why)
    end
    return host("hash_hmac", algorithm, data, key, false)
  end
end

crypto.hmac.sha256, crypto.hmac.sha512 = hmac("sha256"), hmac("sha512")

function crypto.constant_time_compare(a, b)
  local why = wrong("a", a, true) or wrong("b", b, true)
  if why then
    return invalid("constant_time_compare: " .. why)
  end
  return host("crypto_same", a, b)
end

-- Hashes by name; the host bounds the work.
function crypto.pbkdf2(password, salt, iterations, key_length, algorithm)
  local why = wrong("the password", password) or wrong("the salt", salt)
  if why then
    return invalid("pbkdf2: " .. why)
  end
  local rounds, length = count_of(iterations, 1 << 31), count_of(key_length, 1 << 31)
  if not rounds or not length then
    return invalid("pbkdf2: iterations and key_length must be whole numbers of 1 or more")
  elseif algorithm == nil then
    algorithm = "sha256"
  elseif algorithm ~= "sha256" and algorithm ~= "sha512" then
    return invalid("pbkdf2: the hash is sha256 or sha512, not " .. rt.shown(algorithm))
  end
  local block, most = 32, 100000
  if algorithm == "sha512" then
    block, most = 64, 50000
  end
  -- Each block of the key reads the salt anew.
  local work = (rounds + #salt // (4 * block)) * ((length + block - 1) // block)
  if work > 1000000 then
    return invalid("pbkdf2: " .. work .. " rounds ((iterations + length of the salt / " .. 4 * block
      .. ") x blocks of the key); the limit is 1000000")
  elseif work > most and not rt.workflow then -- it takes long, so the host does it in a thread
    local args, err = rt.pack("argument", algorithm, password, salt, rounds, length)
    if not args then
      return nil, err
    end
    return rt.perform("call", '{"target":"@crypto_pbkdf2","args":' .. args .. "}")
  elseif work <= most then
    rt.charge(work * 60)
  end
  return host("crypto_pbkdf2", algorithm, password, salt, rounds, length)
end

-- Ciphers ------------------------------------------------------------------------------------------

local KEYS = {
  aes = { [16] = true, [24] = true, [32] = true, sizes = "16, 24 or 32" },
  chacha20 = { [32] = true, sizes = "32" },
}

for cipher, sizes in next, KEYS do
  local function check(verb, data, key, aad)
    local why = wrong("data", data, true) or wrong("the key", key) or aad ~= nil and wrong("aad", aad, true)
    if not why and not sizes[#key] then
      why = "the key must have " .. sizes.sizes .. " bytes, not " .. #key
    end
    return why and verb .. "." .. cipher .. ": " .. why
  end

  crypto.encrypt[cipher] = function(data, key, aad)
    local why = check("encrypt", data, key, aad)
    if why then
      return invalid(why)
    end
    return host("crypto_encrypt", cipher, key, rt.random_bytes(NONCE), data, aad or "")
  end

  crypto.decrypt[cipher] = function(data, key, aad)
    local why = check("decrypt", data, key, aad)
    if why then
      return invalid(why)
    end
    return host("crypto_decrypt", cipher, key, sub(data, 1, NONCE), sub(data, NONCE + 1), aad or "")
  end
end

-- JSON web tokens ----------------------------------------------------------------------------------

-- Instructions that a signature costs beyond the usual: one of RSA takes milliseconds.
local ALGORITHMS = {
  HS256 = 0, HS384 = 0, HS512 = 0, RS256 = 300000, RS384 = 300000, RS512 = 300000, ES256 = 100000, ES384 = 200000,
}

local function algorithm_of(name)
  if name == nil then
    name = "HS256"
  end
  if ALGORITHMS[name] then
    return name
  end
  return nil, "the algorithm is HS256, HS384, HS512, RS256, RS384, RS512, ES256 or ES384, not " .. rt.shown(name)
end

-- A table as the text of a JSON object; or nil, err.
local function object(what, values, leave_out)
  local copy = {}
  for key, value in next, values do
    if type(key) ~= "string" then
      return invalid("jwt.encode: " .. what .. " must have names as keys")
    elseif key ~= leave_out then
      copy[key] = value
    end
  end
  if next(copy) == nil then
    return "{}"
  end
  return rt.library("json").encode(copy)
end

-- `claims._header` holds fields of the header and is not a claim.
function crypto.jwt.encode(claims, key, algorithm)
  if env_type(claims) ~= "table" then
    return invalid("jwt.encode expects a table of claims, not a " .. env_type(claims))
  end
  local fields = claims._header
  local name, why = algorithm_of(algorithm)
  why = why or wrong("the key", key)
  if not why and fields ~= nil and env_type(fields) ~= "table" then
    why = "_header must be a table, not a " .. env_type(fields)
  end
  if why then
    return invalid("jwt.encode: " .. why)
  end
  local header = { typ = "JWT" }
  for field, value in next, fields or {} do
    header[field] = value
  end
  header.alg = name
  local head, err = object("_header", header)
  local body
  if head then
    body, err = object("the claims", claims, "_header")
  end
  if not body then
    return nil, err
  end
  rt.charge(ALGORITHMS[name])
  return host("crypto_jwt_sign", name, key, head, body)
end

-- Checks the algorithm, the signature and (with `check_times`, the default) exp and nbf.
function crypto.jwt.verify(token, key, algorithm, check_times)
  local name, why = algorithm_of(algorithm)
  why = why or wrong("the token", token) or wrong("the key", key)
  if why then
    return invalid("jwt.verify: " .. why)
  end
  rt.charge(ALGORITHMS[name])
  local text, err = host("crypto_jwt_open", name, key, token)
  if not text then
    return nil, err
  end
  local claims
  claims, err = rt.library("json").decode(text)
  if err then
    return nil, err
  elseif check_times == false then
    return claims, nil
  end
  local exp, nbf, now = claims.exp, claims.nbf, rt.now() / 1e9
  if exp ~= nil and (type(exp) ~= "number" or now >= exp) then
    return rt.fail("Internal", type(exp) == "number" and "the token has expired" or "the token's exp is not a number")
  elseif nbf ~= nil and (type(nbf) ~= "number" or now < nbf) then
    return rt.fail("Internal", type(nbf) == "number" and "the token is not valid yet" or "the token's nbf is not a number")
  end
  return claims, nil
end

return crypto
