-- table.insert, remove, concat and move for tables with a metatable. Its metamethods may supply
-- endless elements, which Lua's own functions would walk in C; these loops can be stopped.
local rt = ...
rt.lasting()
local raw = rt.raw
local error, type, math_type = raw.error, raw.type, raw.math.type
local select = raw.select

local by_metamethods = {}

function by_metamethods.insert(t, ...)
  local n, given = #t, select("#", ...)
  local at, value = ...
  if given ~= 2 then
    error("wrong number of arguments to 'insert'", 0)
  elseif math_type(at) ~= "integer" or at < 1 or at > n + 1 then
    error("bad argument #2 to 'insert' (position out of bounds)", 0)
  end
  for i = n, at, -1 do
    t[i + 1] = t[i]
  end
  t[at] = value
end

function by_metamethods.remove(t, at)
  local n = #t
  if at == nil then
    at = n
  elseif math_type(at) ~= "integer" or (at < 1 or at > n + 1) and (n ~= 0 or at ~= 0) then
    error("bad argument #2 to 'remove' (position out of bounds)", 0)
  end
  local value = t[at]
  for i = at, n - 1 do
    t[i] = t[i + 1]
  end
  t[at < n and n or at] = nil
  return value
end

function by_metamethods.concat(t, separator, i, j)
  local list, n = {}, 0
  for at = i or 1, j or #t do
    local item = t[at]
    if type(item) ~= "string" and type(item) ~= "number" then
      error("invalid value (" .. rt.env.type(item) .. ") at index " .. at .. " in table for 'concat'", 0)
    end
    n = n + 1
    list[n] = item
  end
  return raw.table.concat(list, separator)
end

function by_metamethods.move(from, first, last, at, to)
  if at > last or at <= first or to ~= from then
    for i = 0, last - first do
      to[at + i] = from[first + i]
    end
  else
    for i = last - first, 0, -1 do
      to[at + i] = from[first + i]
    end
  end
  return to
end

return by_metamethods
