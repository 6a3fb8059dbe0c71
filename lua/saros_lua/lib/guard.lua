-- string, table and utf8 for user code: as in Lua, but what one C call may cost is bounded and charged.
--
-- A C function counts as one instruction however long it runs. Those whose time grows with their input
-- are charged by size; those that could run for ever get another way (pattern.lua, loops in Lua).
-- Tables with a metatable are always worked on in Lua, whose loops the hook can stop.
local rt = ...
local raw, env = rt.raw, rt.env
local type, error, pcall, select = raw.type, raw.error, raw.pcall, raw.select
local metatable, next, rawget = raw.getmetatable, raw.next, raw.rawget
local charge, reserve, finish, class_of = rt.charge, rt.reserve, rt.finish, rt.class_of
local text, tables = raw.string, raw.table
local byte, sub, find, gsub = text.byte, text.sub, text.find, text.gsub
local tostring = env.tostring

local function copy(from)
  local to = {}
  for name, value in next, from do
    to[name] = value
  end
  return to
end

-- Texts --------------------------------------------------------------------------------------------

local str = copy(text)
str.dump = nil
env.string = str

-- For functions whose time is that of reading their first argument.
local function linear(fn)
  return function(s, ...)
    if type(s) == "string" then
      if #s > 1024 then
        charge(#s // 8)
      end
      if select("#", ...) == 0 then
        return fn(s)
      end
    end
    return finish(pcall(fn, s, ...))
  end
end

local function charged_result(ok, result, ...)
  if ok and type(result) == "string" and #result > 1024 then
    charge(#result // 8)
  end
  return finish(ok, result, ...)
end

str.upper, str.lower, str.reverse = linear(text.upper), linear(text.lower), linear(text.reverse)
str.unpack = linear(text.unpack)

function str.pack(...)
  return charged_result(pcall(text.pack, ...))
end

local MAX_REPEAT = 16 << 20 -- bytes

function str.rep(...)
  local s, n, separator = ...
  if type(s) == "string" and raw.math.type(n) == "integer" and n > 0 then
    local size = #s + (type(separator) == "string" and #separator or 0)
    if size == 0 then
      return ""
    elseif n > MAX_REPEAT // size then
      error("string.rep: the result would be larger than 16 MiB", 2)
    end
    reserve(n * size)
    charge(n // 4 + n * size // 64)
  elseif n ~= nil then -- a float or a text as a count, or a mistake
    local integer = raw.math.tointeger(raw.tonumber(n))
    if type(s) == "number" then
      s = raw.tostring(s)
    end
    if type(s) == "string" and integer and integer > 0 then
      return str.rep(s, integer, separator)
    end
  end
  return finish(pcall(text.rep, ...))
end

-- Patterns -------------------------------------------------------------------------------------------

-- Backtracking takes time that grows with the power of the number of repetitions that something follows.
-- What a pattern can cost is estimated; above MAX_STEPS it is matched in Lua, where the budget counts.
local MAX_STEPS = 2e7
local costs, n_costs = {}, 0 -- pattern -> {loops = n, factor = x, anchored = bool}

local function class_end(pattern, i)
  local c = byte(pattern, i)
  if c == 37 then -- %
    return i + 2
  elseif c ~= 91 then -- [
    return i + 1
  end
  i = i + 1
  if byte(pattern, i) == 94 then -- ^
    i = i + 1
  end
  repeat
    c = byte(pattern, i)
    i = i + (c == 37 and 2 or 1)
    if c == nil then
      return i
    end
  until byte(pattern, i) == 93 -- ]
  return i + 1
end

local function analyse(pattern)
  local anchored = byte(pattern, 1) == 94
  local i, n = anchored and 2 or 1, #pattern
  local loops, factor, open_loop, open_option = 0, 1, 0, 0
  while i <= n do
    local c, following = byte(pattern, i), byte(pattern, i + 1)
    if c == 40 or c == 41 then -- ( )
      i = i + 1
    else
      -- Something that can fail sends all that came before it back.
      loops, open_loop = loops + open_loop, 0
      factor, open_option = factor * (1 + open_option), 0
      if c == 37 and (following == 98 or following and following >= 48 and following <= 57) then -- %b %1
        loops = loops + 1
        i = i + (following == 98 and 4 or 2)
      elseif c == 37 and following == 102 then -- %f
        i = class_end(pattern, i + 2)
      else
        i = class_end(pattern, i)
        local suffix = byte(pattern, i)
        if suffix == 42 or suffix == 43 or suffix == 45 then -- * + -
          open_loop = 1
          i = i + 1
        elseif suffix == 63 then -- ?
          open_option = 1
          i = i + 1
        end
      end
    end
  end
  return { loops = loops, factor = factor, anchored = anchored }
end

-- Charges for a search and tells whether C may do it. `many`: the anchor does not count.
local function affordable(s, pattern, many)
  local cost = costs[pattern]
  if not cost then
    charge(#pattern)
    if n_costs >= 200 then
      costs, n_costs = {}, 0
    end
    cost = analyse(pattern)
    costs[pattern], n_costs = cost, n_costs + 1
  end
  local n = #s + 1
  charge(n // 8)
  local steps = cost.factor * (cost.anchored and not many and 1 or n)
  for i = 1, cost.loops do
    steps = steps * n / i
  end
  if steps > 1e5 then
    charge(1000) -- enough to have the clock looked at
  end
  return steps <= MAX_STEPS
end

-- An argument that Lua takes for a text, as a text; anything else as it is (and C complains).
local function as_text(value)
  return type(value) == "number" and raw.tostring(value) or value
end

local function in_lua(name)
  return rt.library("pattern")[name]
end

local function plain_find(s, pattern, init)
  if #s * #pattern > 1 << 32 then
    error("string.find: too long a text to look for (" .. #pattern .. " bytes)", 3)
  end
  charge(#s // 8 + #s * #pattern // 4096)
  return finish(pcall(find, s, pattern, init, true))
end

local function searcher(name)
  local fn = text[name]
  return function(s, pattern, init, plain)
    s, pattern = as_text(s), as_text(pattern)
    if type(s) == "string" and type(pattern) == "string" then
      if name == "find" and (plain or not find(pattern, "[%^%$%*%+%?%.%(%[%%%-]")) then
        return plain_find(s, pattern, init)
      elseif not affordable(s, pattern) then
        return finish(pcall(in_lua(name), s, pattern, init))
      end
    end
    return finish(pcall(fn, s, pattern, init))
  end
end

str.find, str.match = searcher("find"), searcher("match")

function str.gmatch(s, pattern, init)
  s, pattern = as_text(s), as_text(pattern)
  if type(s) == "string" and type(pattern) == "string" and not affordable(s, pattern, true) then
    return finish(pcall(in_lua("gmatch"), s, pattern, init))
  end
  return finish(pcall(text.gmatch, s, pattern, init))
end

-- What Lua itself has to say about a substitution; anything else that is raised is a callback's.
local function is_complaint(err)
  return type(err) == "string" and (find(err, "^bad argument") or find(err, "^malformed") or find(err, "^invalid "))
end

local function substituted(kind, ok, err, ...)
  if not ok and kind == "function" and not is_complaint(err) then
    return rt.pass(ok, err)
  end
  return charged_result(ok, err, ...)
end

function str.gsub(s, pattern, replacement, limit)
  s, pattern = as_text(s), as_text(pattern)
  local kind = type(replacement)
  if type(s) == "string" and type(pattern) == "string" then
    if not affordable(s, pattern) or kind == "table" and metatable(replacement) then
      return substituted(kind, pcall(in_lua("gsub"), s, pattern, replacement, limit))
    end
  end
  return substituted(kind, pcall(gsub, s, pattern, replacement, limit))
end

-- Formats --------------------------------------------------------------------------------------------

-- Whether all are texts or proper numbers, which string.format handles as it should.
local function all_plain(n, value, ...)
  local kind = type(value)
  if kind == "string" or kind == "number" and value == value then
    return n == 1 or all_plain(n - 1, ...)
  end
  return false
end

-- Addresses and the sign of NaN would show: such values are turned into texts first.
local function tamed(fmt, ...)
  local args, at = tables.pack(...), 0
  local function conversion(flags, letter)
    if letter == "%" then
      return nil
    end
    at = at + 1
    local value = args[at]
    if letter == "s" and at <= args.n then
      args[at] = tostring(value)
    elseif value ~= value and find(letter, "[aAeEfgG]") then
      args[at] = find(letter, "%u") and "NAN" or "nan"
      return "%" .. gsub(gsub(flags, "%.%d*", ""), "[0+ #]*", "", 1) .. "s"
    end
  end
  fmt = gsub(fmt, "%%([-+ #0-9.]*)(.)", conversion)
  return text.format(fmt, tables.unpack(args, 1, args.n))
end

function str.format(fmt, ...)
  local n = select("#", ...)
  if type(fmt) == "string" then
    if find(fmt, "%%[-+ #0-9.]*p") and find(gsub(fmt, "%%%%", ""), "%%[-+ #0-9.]*p") then
      error("string.format: %p is not available, addresses differ from run to run; use %s", 2)
    end
    if #fmt > 1024 then
      charge(#fmt)
    end
    if n > 0 and not all_plain(n, ...) then
      return charged_result(pcall(tamed, fmt, ...))
    end
  end
  return charged_result(pcall(text.format, fmt, ...))
end

-- Methods of texts are those of the user's `string`; the metatable itself is out of reach.
local string_meta = metatable("")
string_meta.__index = str
string_meta.__metatable = false

env.utf8 = copy(raw.utf8)
env.utf8.len, env.utf8.offset = linear(raw.utf8.len), linear(raw.utf8.offset)
env.utf8.codepoint = linear(raw.utf8.codepoint)

-- Tables ---------------------------------------------------------------------------------------------

local tbl = copy(tables)
env.table = tbl
tbl.sort = rt.sort

local function want_table(t, name)
  if type(t) ~= "table" or class_of(t) then
    error("bad argument #1 to '" .. name .. "' (table expected, got " .. env.type(t) .. ")", 3)
  end
end

function tbl.insert(t, ...)
  want_table(t, "insert")
  local given = select("#", ...)
  local n = #t
  if given == 1 then
    t[n + 1] = ...
    return
  elseif not metatable(t) then
    charge(n // 8)
    return finish(pcall(tables.insert, t, ...))
  end
  local at, value = ...
  if given ~= 2 then
    error("wrong number of arguments to 'insert'", 2)
  elseif raw.math.type(at) ~= "integer" or at < 1 or at > n + 1 then
    error("bad argument #2 to 'insert' (position out of bounds)", 2)
  end
  for i = n, at, -1 do
    t[i + 1] = t[i]
  end
  t[at] = value
end

function tbl.remove(t, ...)
  want_table(t, "remove")
  if not metatable(t) then
    if select("#", ...) > 0 then
      charge(#t // 8)
    end
    return finish(pcall(tables.remove, t, ...))
  end
  local n = #t
  local at = ...
  if at == nil then
    at = n
  elseif raw.math.type(at) ~= "integer" or n + 1 ~= at and (at < 1 or at > n + 1) and not (n == 0 and at == 0) then
    error("bad argument #2 to 'remove' (position out of bounds)", 2)
  end
  local value = t[at]
  for i = at, n - 1 do
    t[i] = t[i + 1]
  end
  if at <= n then
    t[n] = nil
  elseif n == 0 or at == n + 1 then
    t[at] = nil
  end
  return value
end

function tbl.concat(t, separator, i, j)
  want_table(t, "concat")
  if metatable(t) then
    local list, n = {}, 0
    for at = i or 1, j or #t do
      local item = t[at]
      if type(item) ~= "string" and type(item) ~= "number" then
        error("invalid value (at index " .. at .. ") in table for 'concat'", 2)
      end
      n = n + 1
      list[n] = item
    end
    t, i, j = list, 1, n
  end
  charge(#t // 8)
  return charged_result(pcall(tables.concat, t, separator, i, j))
end

function tbl.unpack(t, i, j)
  if type(t) == "table" and (i == nil or raw.math.type(i) == "integer") and (j == nil or raw.math.type(j) == "integer") then
    local last = j or #t
    local n = last - (i or 1) + 1
    if n > 100 and n <= 1000000 then
      charge(n // 8)
    end
    return finish(pcall(tables.unpack, t, i, last))
  end
  return finish(pcall(tables.unpack, t, i, j))
end
env.unpack = tbl.unpack

function tbl.move(from, first, last, at, to)
  want_table(from, "move")
  local target = to == nil and from or to
  if type(target) ~= "table" or class_of(target) then
    error("bad argument #5 to 'move' (table expected, got " .. env.type(target) .. ")", 2)
  end
  local math_type = raw.math.type
  if math_type(first) ~= "integer" or math_type(last) ~= "integer" or math_type(at) ~= "integer" then
    return finish(pcall(tables.move, from, first, last, at, target))
  elseif last < first then
    return target
  end
  local many = (last + 0.0) - (first + 0.0)
  if many > 1e9 then
    error("too many elements to move", 2)
  elseif not metatable(from) and not metatable(target) then
    charge(last - first + 1)
    return finish(pcall(tables.move, from, first, last, at, target))
  elseif at > last or at <= first or target ~= from then
    for i = 0, last - first do
      target[at + i] = from[first + i]
    end
  else
    for i = last - first, 0, -1 do
      target[at + i] = from[first + i]
    end
  end
  return target
end

function tbl.create(narr, nhash)
  if raw.math.type(narr) ~= "integer" or nhash ~= nil and raw.math.type(nhash) ~= "integer" then
    error("table.create wants the number of items (and of keys), whole numbers", 2)
  end
  return {}
end
