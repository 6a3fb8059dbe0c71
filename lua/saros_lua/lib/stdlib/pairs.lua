-- pairs and next. In workflows their order may not depend on addresses or hash seeds.
--
-- Keys are walked in this order: numbers, texts, false, true, runtime objects (in order of creation),
-- then tables, functions and coroutines that have been named by tostring. Other tables, functions and
-- coroutines have no order that a replay would repeat: a table with several of them cannot be walked.
local rt = ...
local raw, env = rt.raw, rt.env
local type, error, next, rawget, rawequal = raw.type, raw.error, raw.next, raw.rawget, raw.rawequal
local metatable, sort, find = raw.getmetatable, raw.table.sort, raw.string.find
local charge, class_of, hidden = rt.charge, rt.class_of, rt.hidden_keys
local searching = rt.searching

-- Sorting, in C -----------------------------------------------------------------------------------------

local LONG = 256 -- bytes; longer texts take long to compare
rt.LONG_KEY = LONG

local function less(a, b)
  return a < b
end

-- Charges for n items that C sorts.
function rt.charge_sort(n)
  local rounds = 1
  while 1 << rounds < n do
    rounds = rounds + 1
  end
  charge(n * rounds * 3)
end

-- Sorts keys, which are all strings or all numbers. Long strings take long to compare, so Lua code sorts them.
function rt.sort_keys(keys, n)
  for i = 1, n do
    local key = keys[i]
    if type(key) == "string" and (#key > LONG or n > 32 and find(key, "\0", 1, true)) then
      sort(keys, less)
      return
    end
  end
  rt.charge_sort(n)
  sort(keys)
end

-- Walking, outside workflows -------------------------------------------------------------------------

local function walkable(t, name)
  if type(t) ~= "table" or class_of(t) then
    error("bad argument #1 to '" .. name .. "' (table expected, got " .. env.type(t) .. ")", 3)
  end
end

-- __pairs's answer, when t has one.
local function custom_pairs(mt, t)
  local method = rawget(mt, "__pairs")
  if method ~= nil then
    local iterate, state, first = method(t)
    return true, iterate, state, first
  end
end

if not rt.workflow then
  -- Objects return their private key first, so checking the key found is enough.
  local function checked(t, key, ...)
    if hidden[key] then
      error("bad argument #1 to 'next' (table expected, got userdata)", 3)
    end
    return key, ...
  end

  function env.next(t, key)
    if type(t) ~= "table" then
      walkable(t, "next")
    end
    searching()
    return checked(t, next(t, key))
  end
  local env_next = env.next

  function env.pairs(t)
    local mt = metatable(t)
    if mt then
      local custom, iterate, state, first = custom_pairs(mt, t)
      if custom then
        return iterate, state, first
      end
    end
    walkable(t, "for iterator")
    return env_next, t, nil
  end
  return
end

-- Walking, in workflows ------------------------------------------------------------------------------

local ordinal_of, name_number = rt.ordinal_of, rt.name_number

-- The rank of a key's type, and the value that orders keys of that rank.
local function rank_of(key)
  local kind = type(key)
  if kind == "number" then
    return 1, key
  elseif kind == "string" then
    return 2, key
  elseif kind == "boolean" then
    return 3, key and 1 or 0
  elseif class_of(key) then
    return 4, ordinal_of(key)
  end
  return 5, name_number(key)
end

local function key_less(a, b)
  local rank_a, in_a = rank_of(a)
  local rank_b, in_b = rank_of(b)
  if rank_a ~= rank_b then
    return rank_a < rank_b
  end
  return in_a < in_b
end

local NO_ORDER = "pairs and next cannot walk this table: several of its keys are tables, functions or coroutines, "
  .. "whose order would differ in a replay; keep them in an array, or use texts or numbers as keys"

-- The keys of t in order, and their number; with `first_only`, only the first one is in its place.
local function sorted_keys(t, first_only)
  local keys, n, strings, numbers, others, nameless, longest = {}, 0, 0, 0, 0, 0, 0
  searching()
  for key in next, t do
    n = n + 1
    keys[n] = key
    local kind = type(key)
    if kind == "string" then
      strings = strings + 1
      longest = #key > longest and #key or longest
    elseif kind == "number" then
      numbers = numbers + 1
    elseif kind ~= "boolean" and not class_of(key) then
      others = others + 1
      if not name_number(key) then
        nameless = nameless + 1
      end
    end
  end
  if nameless > 0 and others > 1 then
    error(NO_ORDER, 3)
  end
  if n > 1 then
    charge(n * 5)
    if strings ~= n and numbers ~= n then
      sort(keys, key_less)
    elseif first_only then
      local least = keys[1]
      for i = 2, n do
        if keys[i] < least then
          least = keys[i]
        end
      end
      keys[1] = least
    elseif n > 32 or longest > LONG then
      rt.sort_keys(keys, n)
    else
      sort(keys)
    end
  end
  return keys, n
end

local function nothing() end

-- Walks the keys that t had at the start, without those removed since and without new ones.
local function walk(t, keys, n)
  local i = 0
  return function()
    while i < n do
      i = i + 1
      local key = keys[i]
      local value = rawget(t, key)
      if value ~= nil then
        return key, value
      end
    end
  end
end

local function walk_array(t, n)
  local i = 0
  return function()
    while i < n do
      i = i + 1
      local value = rawget(t, i)
      if value ~= nil then
        return i, value
      end
    end
  end
end

-- n when the keys of t are exactly 1..n and stored in that order, else nil.
local function length_of_array(t)
  local n = 0
  searching()
  for key in next, t do
    n = n + 1
    if key ~= n then
      return nil
    end
  end
  return n
end

function env.pairs(t)
  local mt = metatable(t)
  if mt then
    local custom, iterate, state, first = custom_pairs(mt, t)
    if custom then
      return iterate, state, first
    end
  end
  walkable(t, "for iterator")
  local n = length_of_array(t)
  if n == 0 then
    return nothing, t, nil
  elseif n then
    return walk_array(t, n), t, nil
  end
  return walk(t, sorted_keys(t)), t, nil
end

-- `next` has no state of its own: the keys of the current table are remembered, and
-- recomputed after another walk.
local last_table, last_keys, last_n, last_i

rt.each_program(function()
  last_table, last_keys = nil, nil
end)

local function position_after(key)
  for i = 1, last_n do
    if rawequal(last_keys[i], key) then
      return i
    end
  end
  for i = 1, last_n do -- the key was removed since: go on with the first one beyond it
    local rank, inner = rank_of(key)
    if inner == nil then
      error("invalid key to 'next'", 3)
    end
    local rank_i, inner_i = rank_of(last_keys[i])
    if rank_i > rank or rank_i == rank and inner_i ~= nil and inner_i > inner then
      return i - 1
    end
  end
  return last_n
end

function env.next(t, key)
  walkable(t, "next")
  local i
  if key == nil then -- usually a test whether the table is empty
    last_table = nil
    local keys, n = sorted_keys(t, true)
    if n == 0 then
      return nil
    end
    return keys[1], rawget(t, keys[1])
  elseif rawequal(last_table, t) and rawequal(last_keys[last_i], key) then
    i = last_i
  else
    last_table, last_i = nil, nil
    last_keys, last_n = sorted_keys(t)
    last_table = t
    i = position_after(key)
  end
  while i < last_n do
    i = i + 1
    local found = last_keys[i]
    local value = rawget(t, found)
    if value ~= nil then
      last_i = i
      return found, value
    end
  end
  last_table, last_keys = nil, nil
  return nil
end
