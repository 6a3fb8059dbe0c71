-- string and table for user code: as in Lua, but what one C call may cost is bounded and charged.
--
-- A C function counts as one instruction however long it runs. Those whose time grows with their input
-- are charged by size; those that could run for ever get another way (pattern.lua, loops in Lua).
-- Tables with a metatable are always worked on in Lua, whose loops the hook can stop.
local rt = ...
local raw, env = rt.raw, rt.env
local type, error, pcall, select = raw.type, raw.error, raw.pcall, raw.select
local metatable, next = raw.getmetatable, raw.next
local charge, reserve, finish, class_of = rt.charge, rt.reserve, rt.finish, rt.class_of
local text, tables = raw.string, raw.table
local byte, find, gsub = text.byte, text.find, text.gsub
local tostring = env.tostring
local math_type = raw.math.type

local function is_integer(value)
  return math_type(value) == "integer"
end

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
local repeated = text.rep

function str.rep(...)
  local s, n, separator = ...
  if type(s) == "string" and is_integer(n) and n > 0 then
    local size = #s + (type(separator) == "string" and #separator or 0)
    if size == 0 then
      return ""
    elseif n > MAX_REPEAT // size then
      error("string.rep: the result would be larger than 16 MiB", 2)
    end
    if n > 1000 or size > 1000 then
      reserve(n * size)
      charge(n // 4 + n * size // 64)
    elseif separator == nil then
      return repeated(s, n)
    end
  elseif n ~= nil then -- a float or a text as a count, or a mistake
    local integer = raw.math.tointeger(raw.tonumber(n))
    if type(s) == "number" then
      s = raw.tostring(s)
    end
    if type(s) == "string" and integer and integer > 0 then
      return str.rep(s, integer, separator)
    end
  end
  return finish(pcall(repeated, ...))
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

-- loops: repetitions that something follows; factor: ways to take the optional items; quick: the longest
-- text for which a search needs no second thought (none when the pattern may be malformed).
local function analyse(pattern)
  local anchored = byte(pattern, 1) == 94
  local i, n = anchored and 2 or 1, #pattern
  local loops, factor, open_loop, open_option = 0, 1, 0, 0
  local sound, open_captures, captures = true, 0, 0
  while i <= n do
    local c, following = byte(pattern, i), byte(pattern, i + 1)
    if c == 40 then -- (
      open_captures, captures = open_captures + 1, captures + 1
      i = i + 1
    elseif c == 41 then -- )
      open_captures = open_captures - 1
      sound = sound and open_captures >= 0
      i = i + 1
    else
      -- Something that can fail sends all that came before it back.
      loops, open_loop = loops + open_loop, 0
      factor, open_option = factor * (1 + open_option), 0
      if c == 37 and (following == 98 or following and following >= 48 and following <= 57) then -- %b %1
        loops = loops + 1
        sound = false
        i = i + (following == 98 and 4 or 2)
      elseif c == 37 and following == 102 then -- %f
        sound = sound and byte(pattern, i + 2) == 91
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
  local cost = { loops = loops, factor = factor, anchored = anchored, quick = -1 }
  if sound and open_captures == 0 and captures <= 32 and i == n + 1 then
    cost.quick = raw.math.floor((1e5 / factor) ^ (1 / (loops + 1)))
  end
  cost.plain = not find(pattern, "[%^%$%*%+%?%.%(%[%%%-]")
  return cost
end

local function cost_of(pattern)
  local cost = costs[pattern]
  if not cost then
    charge(#pattern)
    if n_costs >= 200 then
      costs, n_costs = {}, 0
    end
    cost = analyse(pattern)
    costs[pattern], n_costs = cost, n_costs + 1
  end
  return cost
end

-- Charges for a search and tells whether C may do it. `many`: the anchor does not count.
local function affordable(s, pattern, many)
  local cost = cost_of(pattern)
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
    local cost = costs[pattern]
    if cost and init == nil and not plain and type(s) == "string" and #s <= cost.quick then
      charge(#s // 8)
      return fn(s, pattern)
    end
    s, pattern = as_text(s), as_text(pattern)
    if type(s) == "string" and type(pattern) == "string" then
      if name == "find" and (plain or cost_of(pattern).plain) then
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
  local kind, cost = type(replacement), costs[pattern]
  if kind == "string" and cost and limit == nil and type(s) == "string" and #s <= cost.quick then
    if not find(replacement, "%", 1, true) then
      charge(#s // 8)
      return charged_result(true, gsub(s, pattern, replacement))
    end
  end
  s, pattern = as_text(s), as_text(pattern)
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

local formats, n_formats = {}, 0 -- those that are known to be without %p

function str.format(fmt, ...)
  local n = select("#", ...)
  if type(fmt) == "string" then
    if not formats[fmt] then
      charge(#fmt)
      if find(fmt, "%%[-+ #0-9.]*p") and find(gsub(fmt, "%%%%", ""), "%%[-+ #0-9.]*p") then
        error("string.format: %p is not available, addresses differ from run to run; use %s", 2)
      end
      if n_formats >= 200 then
        formats, n_formats = {}, 0
      end
      formats[fmt], n_formats = true, n_formats + 1
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

rt.linear = linear -- for utf8.lua

-- Tables ---------------------------------------------------------------------------------------------

local tbl = copy(tables)
env.table = tbl

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

-- With a metatable, elements come from metamethods: see proxied.lua.
local function proxied(name, ...)
  return finish(pcall(rt.library("proxied")[name], ...))
end

function tbl.insert(t, ...)
  local mt = metatable(t)
  if mt or type(t) ~= "table" then
    want_table(t, "insert")
  end
  if select("#", ...) == 1 then
    t[#t + 1] = ...
  elseif mt then
    return proxied("insert", t, ...)
  else
    charge(#t // 8)
    return finish(pcall(tables.insert, t, ...))
  end
end

function tbl.remove(t, ...)
  want_table(t, "remove")
  if metatable(t) then
    return proxied("remove", t, ...)
  elseif select("#", ...) > 0 then
    charge(#t // 8)
  end
  return finish(pcall(tables.remove, t, ...))
end

function tbl.concat(t, ...)
  want_table(t, "concat")
  if metatable(t) then
    return proxied("concat", t, ...)
  end
  charge(#t // 8)
  return charged_result(pcall(tables.concat, t, ...))
end

function tbl.unpack(t, i, j)
  if type(t) == "table" and not j then
    j = #t
  end
  if is_integer(j) and (i == nil or is_integer(i)) then
    local n = j - (i or 1)
    if n > 100 and n <= 1000000 then
      charge(n // 8)
    end
  end
  return finish(pcall(tables.unpack, t, i, j))
end
env.unpack = tbl.unpack

function tbl.move(from, first, last, at, to)
  want_table(from, "move")
  to = to == nil and from or to
  if type(to) ~= "table" or class_of(to) then
    error("bad argument #5 to 'move' (table expected, got " .. env.type(to) .. ")", 2)
  elseif is_integer(first) and is_integer(last) and is_integer(at) and last >= first then
    if (last + 0.0) - first > 1e9 then
      error("too many elements to move", 2)
    elseif metatable(from) or metatable(to) then
      return proxied("move", from, first, last, at, to)
    end
    charge(last - first + 1)
  end
  return finish(pcall(tables.move, from, first, last, at, to))
end

function tbl.create(narr, nhash)
  if not is_integer(narr) or nhash ~= nil and not is_integer(nhash) then
    error("table.create wants the number of items (and of keys), whole numbers", 2)
  end
  return {}
end
