-- table.sort: stable, so that the result does not depend on Lua's choice of pivots, and written in Lua,
-- so that the comparison may block.
local rt = ...
rt.lasting()
local raw = rt.raw
local type, error, pcall, math_type = raw.type, raw.error, raw.pcall, raw.math.type
local metatable, sort, find = raw.getmetatable, raw.table.sort, raw.string.find
local charge, finish = rt.charge, rt.finish

local function less(a, b)
  return a < b
end

local RUN = 8
local LONG = rt.LONG_KEY

-- Sorts list[1..n], stably, and returns it or a copy. `lt` may be inconsistent.
local function merge_sort(list, n, lt)
  for first = 1, n, RUN do
    for i = first + 1, first + RUN - 1 < n and first + RUN - 1 or n do
      local item, at = list[i], i - 1
      while at >= first and lt(item, list[at]) do
        list[at + 1] = list[at]
        at = at - 1
      end
      list[at + 1] = item
    end
  end
  local width, from, to = RUN, list, {}
  while width < n do
    for first = 1, n, 2 * width do
      local a, b = first, first + width
      local a_end, b_end = b <= n and b - 1 or n, b + width - 1 < n and b + width - 1 or n
      for at = first, b_end do
        if a <= a_end and (b > b_end or not lt(from[b], from[a])) then
          to[at] = from[a]
          a = a + 1
        else
          to[at] = from[b]
          b = b + 1
        end
      end
    end
    from, to = to, from
    width = 2 * width
  end
  return from
end

-- Whether all items are short strings, or all are integers: then equal items are identical, and C
-- may sort.
local function is_plain(list, n)
  local first = list[1]
  if type(first) == "string" then
    for i = 1, n do
      local item = list[i]
      if type(item) ~= "string" or #item > LONG or find(item, "\0", 1, true) then
        return false
      end
    end
    return true
  elseif math_type(first) == "integer" then
    for i = 2, n do
      if math_type(list[i]) ~= "integer" then
        return false
      end
    end
    return true
  end
  return false
end

local function sort_table(t, lt)
  local n = #t
  if not lt and not metatable(t) and is_plain(t, n) then
    rt.charge_sort(n)
    sort(t)
    return
  end
  local list = {}
  for i = 1, n do
    list[i] = t[i]
  end
  list = merge_sort(list, n, lt or less)
  for i = 1, n do
    t[i] = list[i]
  end
end

return function(t, lt)
  if rt.env.type(t) ~= "table" then
    error("bad argument #1 to 'sort' (table expected, got " .. rt.env.type(t) .. ")", 2)
  elseif lt ~= nil and type(lt) ~= "function" then
    error("bad argument #2 to 'sort' (function expected, got " .. rt.env.type(lt) .. ")", 2)
  end
  return finish(pcall(sort_table, t, lt))
end
