-- The uuid module (RFC 9562). Random bits and time come from the execution, so workflows replay them.
local rt = ...
rt.lasting()
local raw = rt.raw
local type = raw.type
local byte, char, sub, find, gsub = raw.string.byte, raw.string.char, raw.string.sub, raw.string.find, raw.string.gsub
local format, lower, match, pack = raw.string.format, raw.string.lower, raw.string.match, raw.string.pack
local unpack, tonumber = raw.string.unpack, raw.tonumber
local env_type = rt.env.type

local SIMPLE = raw.string.rep("%02x", 16)
local STANDARD = gsub("xxxx-xx-xx-xx-xxxxxx", "x", "%%02x")
local PATTERN = "^" .. gsub("(8)%-(4)%-(4)%-(4)%-(12)", "%d+", function(n)
  return raw.string.rep("%x", tonumber(n))
end) .. "$"

-- The clock of version 1: steps of 100 ns since 1582-10-15.
local STEPS_TO_1970, STEPS_PER_SECOND = 0x01B21DD213814000, 10000000

-- The 16 bytes of a UUID in any of its spellings, or nil.
local function bytes_of(text)
  if type(text) ~= "string" then
    return nil
  elseif #text == 45 and lower(sub(text, 1, 9)) == "urn:uuid:" then
    text = sub(text, 10)
  elseif #text == 38 then
    text = match(text, "^{(.*)}$") or ""
  end
  if #text == 36 then
    local a, b, c, d, e = match(text, PATTERN)
    text = a and a .. b .. c .. d .. e or ""
  end
  if #text ~= 32 or find(text, "%X") then
    return nil
  end
  return (gsub(text, "..", function(hex)
    return char(tonumber(hex, 16))
  end))
end

local function text_of(bytes)
  return format(STANDARD, byte(bytes, 1, 16))
end

-- 16 bytes as a UUID of a version: sets the bits of version and variant.
local function stamped(bytes, version)
  local seventh = char(byte(bytes, 7) & 0x0f | version << 4)
  local ninth = char(byte(bytes, 9) & 0x3f | 0x80)
  return text_of(sub(bytes, 1, 6) .. seventh .. sub(bytes, 8, 8) .. ninth .. sub(bytes, 10, 16))
end

local function checked(what, text)
  local bytes = bytes_of(text)
  if bytes then
    return bytes
  end
  local got = type(text) == "string" and '"' .. rt.shown(sub(text, 1, 64)) .. '"' or "a " .. env_type(text)
  return rt.fail("Invalid", what .. " expects a UUID, not " .. got)
end

local function hashed(version, algorithm, namespace, name)
  local what = "uuid.v" .. version
  local bytes, err = checked(what, namespace)
  if not bytes then
    return nil, err
  elseif type(name) ~= "string" then
    return rt.fail("Invalid", what .. " expects a name, a string, not a " .. env_type(name))
  end
  local ok, digest, why = rt.host("hash_digest", algorithm, bytes .. name, true)
  if not ok then
    return rt.fail(digest, why)
  end
  return stamped(digest, version), nil
end

local function version_of(bytes)
  return byte(bytes, 7) >> 4
end

local function variant_of(bytes)
  local bits = byte(bytes, 9) >> 5
  if bits < 4 then
    return "NCS"
  elseif bits < 6 then
    return "RFC4122"
  end
  return bits == 6 and "Microsoft" or "Future"
end

local uuid = {}

-- node: drawn once per execution; last_step: each step is used once;
-- last_ms, count: within a millisecond the 12 bits after the time count on, so that UUIDs stay in order.
local own

rt.each_program(function()
  own = {}
end)

function uuid.v1()
  local state = rt.happening or own
  if state == own then
    rt.changing()
  end
  if not state.node then
    local sequence, first, rest = unpack("c2Bc5", rt.random_bytes(8))
    state.node = sequence .. char(first | 1) .. rest -- the lowest bit is set: no network card has such an address
  end
  local step = rt.now() // 100 + STEPS_TO_1970
  if state.last_step and step <= state.last_step then
    step = state.last_step + 1
  end
  state.last_step = step
  local time = pack(">I4I2I2", step & 0xffffffff, step >> 32 & 0xffff, step >> 48)
  return stamped(time .. state.node, 1), nil
end

function uuid.v3(namespace, name)
  return hashed(3, "md5", namespace, name)
end

function uuid.v4()
  return stamped(rt.random_bytes(16), 4), nil
end

function uuid.v5(namespace, name)
  return hashed(5, "sha1", namespace, name)
end

function uuid.v7()
  local ms = rt.now() // 1000000
  local random = rt.random_bytes(10)
  local state = rt.happening or own
  if not state.last_ms or ms > state.last_ms then
    state.last_ms, state.count = ms, unpack(">I2", random) & 0x7ff
  else
    state.count = state.count + 1
    if state.count > 0xfff then
      state.last_ms, state.count = state.last_ms + 1, 0
    end
  end
  return stamped(pack(">I6I2", state.last_ms, state.count) .. sub(random, 3), 7), nil
end

function uuid.validate(text)
  return bytes_of(text) ~= nil
end

function uuid.version(text)
  local bytes, err = checked("uuid.version", text)
  if not bytes then
    return nil, err
  end
  return version_of(bytes), nil
end

function uuid.variant(text)
  local bytes, err = checked("uuid.variant", text)
  if not bytes then
    return nil, err
  end
  return variant_of(bytes), nil
end

-- timestamp is in whole seconds since 1970; node is 12 hexadecimal digits.
function uuid.parse(text)
  local bytes, err = checked("uuid.parse", text)
  if not bytes then
    return nil, err
  end
  local parts = { version = version_of(bytes), variant = variant_of(bytes) }
  if parts.variant == "RFC4122" and parts.version == 1 then
    local low, mid, high = unpack(">I4I2I2", bytes)
    local step = (high & 0x0fff) << 48 | mid << 32 | low
    parts.timestamp = (step - STEPS_TO_1970) // STEPS_PER_SECOND
    parts.node = format(raw.string.rep("%02x", 6), byte(bytes, 11, 16))
  elseif parts.variant == "RFC4122" and parts.version == 7 then
    parts.timestamp = unpack(">I6", bytes) // 1000
  end
  return parts, nil
end

function uuid.format(text, style)
  local bytes, err = checked("uuid.format", text)
  if not bytes then
    return nil, err
  elseif style == nil or style == "standard" then
    return text_of(bytes), nil
  elseif style == "simple" then
    return format(SIMPLE, byte(bytes, 1, 16)), nil
  elseif style == "urn" then
    return "urn:uuid:" .. text_of(bytes), nil
  end
  return rt.fail("Invalid", "uuid.format knows the styles standard, simple and urn, not " .. rt.shown(style))
end

return uuid
