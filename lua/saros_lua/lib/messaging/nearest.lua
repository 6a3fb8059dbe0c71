-- The known name that a misspelt name probably means.
local rt = ...
rt.lasting()
local raw = rt.raw
local byte, gsub, lower = raw.string.byte, raw.string.gsub, raw.string.lower

local ALIKE = 0.8 -- share of the letters in the same order: "maxattempts" is like "maximum_attempts"
local LONGEST = 100

local function letters(name)
  return (gsub(lower(name), "[^%w]", ""))
end

-- How much of both texts is a common subsequence, from 0 to 1.
local function likeness(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = 0
  end
  for i = 1, #a do
    local corner, letter = 0, byte(a, i)
    for j = 1, #b do
      local above = row[j]
      if letter == byte(b, j) then
        row[j] = corner + 1
      elseif row[j - 1] > above then
        row[j] = row[j - 1]
      end
      corner = above
    end
  end
  return 2 * row[#b] / (#a + #b)
end

-- The name in the list that is nearest, or nil when none is at least as near as `least` (default ALIKE).
return function(word, names, least)
  local wanted = letters(word)
  if #wanted == 0 or #wanted > LONGEST then
    return nil
  end
  local best, highest = nil, least or ALIKE
  for i = 1, #names do
    local found = likeness(wanted, letters(names[i]))
    if found > highest or found == highest and not best then
      best, highest = names[i], found
    end
  end
  return best
end
