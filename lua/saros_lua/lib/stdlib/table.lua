-- `table` for user code: as in Lua, but charged by size, because a C function counts as one instruction.
local rt = ...
rt.lasting()
local raw, env = rt.raw, rt.env
local type, error, pcall, select, next = raw.type, raw.error, raw.pcall, raw.select, raw.next
local metatable, math_type = raw.getmetatable, raw.math.type
local tonumber, tointeger = raw.tonumber, raw.math.tointeger
local charge, finish, class_of, charged_result = rt.charge, rt.finish, rt.class_of, rt.charged_result
local tables = raw.table

local tbl = {}
for name, value in next, tables do
  tbl[name] = value
end

-- A position or count as Lua's own functions understand it: nil when it is none.
local function integer(value)
  return math_type(value) == "integer" and value or tointeger(tonumber(value))
end

local sorter
function tbl.sort(...)
  sorter = sorter or rt.library("sort")
  return sorter(...)
end

local function want_table(t, name)
  if type(t) ~= "table" or class_of(t) then
    error("bad argument #1 to '" .. name .. "' (table expected, got " .. env.type(t) .. ")", 3)
  end
end

-- With a metatable, elements come from metamethods: see table_meta.lua.
local function by_metamethods(name, ...)
  return finish(pcall(rt.library("table_meta")[name], ...))
end

function tbl.insert(t, ...)
  local mt = metatable(t)
  if mt or type(t) ~= "table" then
    want_table(t, "insert")
  end
  if select("#", ...) == 1 then
    t[#t + 1] = ...
  elseif mt then
    return by_metamethods("insert", t, ...)
  else
    charge(#t)
    return finish(pcall(tables.insert, t, ...))
  end
end

function tbl.remove(t, ...)
  want_table(t, "remove")
  if metatable(t) then
    return by_metamethods("remove", t, ...)
  elseif select("#", ...) > 0 then
    charge(#t)
  end
  return finish(pcall(tables.remove, t, ...))
end

local PIECE = 16384 -- items that are joined at once

-- The same as Lua's, in pieces.
local function concat_long(t, n, separator, i, j)
  local first, last = integer(i or 1), integer(j or n)
  if not first or not last or first >= last then
    return tables.concat(t, separator, i, j)
  end
  local pieces, count = {}, 0
  for from = first, last, PIECE do
    charge(PIECE)
    count = count + 1
    pieces[count] = tables.concat(t, separator, from, from + PIECE - 1 < last and from + PIECE - 1 or last)
  end
  return tables.concat(pieces, separator)
end

function tbl.concat(t, ...)
  want_table(t, "concat")
  if metatable(t) then
    return by_metamethods("concat", t, ...)
  end
  local n, _, first, last = #t, ...
  if n > PIECE or first ~= nil or last ~= nil then
    return charged_result(pcall(concat_long, t, n, ...))
  end
  charge(n)
  return charged_result(pcall(tables.concat, t, ...))
end

local MAX_RESULTS = 65536 -- each further call that passes them on copies them

function tbl.unpack(t, i, j)
  if type(t) == "table" and not j then
    j = #t
  end
  local first, last = integer(i or 1), integer(j)
  if first and last then
    local n = last - first
    if n >= MAX_RESULTS or n < 0 and last > first then
      error("too many results to unpack (at most " .. MAX_RESULTS .. ")", 2)
    elseif n > 100 then
      rt.noted_values(n)
    end
  end
  return finish(pcall(tables.unpack, t, i, j))
end

function tbl.move(from, first, last, at, to)
  want_table(from, "move")
  to = to == nil and from or to
  if type(to) ~= "table" or class_of(to) then
    error("bad argument #5 to 'move' (table expected, got " .. env.type(to) .. ")", 2)
  end
  first, last, at = integer(first) or first, integer(last) or last, integer(at) or at
  if math_type(first) == "integer" and math_type(last) == "integer" and math_type(at) == "integer" and last >= first then
    if (last + 0.0) - first > 1e9 then
      error("too many elements to move", 2)
    elseif metatable(from) or metatable(to) then
      return by_metamethods("move", from, first, last, at, to)
    end
    charge((last - first + 1) * 2)
  end
  return finish(pcall(tables.move, from, first, last, at, to))
end

function tbl.create(narr, nhash)
  if math_type(narr) ~= "integer" or nhash ~= nil and math_type(nhash) ~= "integer" then
    error("table.create expects the number of items (and of keys), whole numbers", 2)
  end
  return {}
end

return tbl
