-- Base64 of bytes inside JSON. The tables are made on first use: most runs never see bytes.
local rt = ...
local raw = rt.raw
local byte, char, find, sub = raw.string.byte, raw.string.char, raw.string.find, raw.string.sub
local concat = raw.table.concat

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local pairs_of -- 12 bits -> two characters
local bits_of -- code of a character -> 6 bits

local function prepare()
  pairs_of, bits_of = {}, {}
  for i = 1, 64 do
    local high = sub(ALPHABET, i, i)
    bits_of[byte(high)] = i - 1
    for j = 1, 64 do
      pairs_of[(i - 1) << 6 | (j - 1)] = high .. sub(ALPHABET, j, j)
    end
  end
  bits_of[61] = 0 -- "=" fills up the last group
end

local binary = {}

function binary.encode(bytes)
  if not pairs_of then
    prepare()
  end
  local parts, n, length = {}, 0, #bytes
  local whole = length - length % 3
  for i = 1, whole, 3 do
    local a, b, c = byte(bytes, i, i + 2)
    parts[n + 1] = pairs_of[a << 4 | b >> 4]
    parts[n + 2] = pairs_of[(b & 15) << 8 | c]
    n = n + 2
  end
  if length - whole == 1 then
    parts[n + 1] = pairs_of[byte(bytes, length) << 4] .. "=="
  elseif length - whole == 2 then
    local a, b = byte(bytes, length - 1, length)
    parts[n + 1] = pairs_of[a << 4 | b >> 4] .. sub(pairs_of[(b & 15) << 8], 1, 1) .. "="
  end
  return concat(parts)
end

-- The bytes; nil when the text is not base64.
function binary.decode(text)
  local length = #text
  if length % 4 ~= 0 or not find(text, "^[%w+/]*=?=?$") then
    return nil
  end
  if not pairs_of then
    prepare()
  end
  local parts, n = {}, 0
  for i = 1, length, 4 do
    local a, b, c, d = byte(text, i, i + 3)
    local bits = bits_of[a] << 18 | bits_of[b] << 12 | bits_of[c] << 6 | bits_of[d]
    n = n + 1
    parts[n] = char(bits >> 16, bits >> 8 & 255, bits & 255)
  end
  local padding = find(text, "==", -2, true) and 2 or find(text, "=", -1, true) and 1 or 0
  return sub(concat(parts), 1, length // 4 * 3 - padding)
end

return binary
