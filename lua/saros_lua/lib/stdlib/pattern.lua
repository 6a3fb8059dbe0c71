-- Lua's patterns, matched in Lua: for searches that could take C for ever (see search.lua). Each step
-- counts as instructions, so that the budget ends a search that would not end by itself. Where C is quick enough at any
-- one position of the text, it does those; `by_c` is then the pattern with an anchor.
local rt = ...
rt.lasting()
local raw = rt.raw
local byte, find, sub, select = raw.string.byte, raw.string.find, raw.string.sub, raw.select
local type, error, tostring = raw.type, raw.error, raw.tostring
local concat, unpack, tointeger, tonumber = raw.table.concat, raw.table.unpack, raw.math.tointeger, raw.tonumber

local program_of = rt.library("pattern_compile")

local MAX_DEPTH, MAX_CAPTURES = 200, 32 -- as in Lua itself

-- Matching -----------------------------------------------------------------------------------------

-- The search under way. A callback may start another one, so it is set anew for every attempt.
local s, nodes, level, depth
local starts, ends = {}, {} -- of the captures so far; an open one has no end, a position has 0
local step = {}

local function match(i, at)
  depth = depth + 1
  if depth > MAX_DEPTH then
    error("pattern too complex", 0)
  end
  local node = nodes[at]
  while node do
    local kind = node.kind
    if kind == "one" then
      if not node.set[byte(s, i)] then
        depth = depth - 1
        return nil
      end
      i = i + 1
    else
      local result = step[kind](node, i, at)
      depth = depth - 1
      return result
    end
    at = at + 1
    node = nodes[at]
  end
  depth = depth - 1
  return i
end

step["*"] = function(node, i, at)
  local set, last = node.set, i
  while set[byte(s, last)] do
    last = last + 1
  end
  for from = last, i, -1 do
    local result = match(from, at + 1)
    if result then
      return result
    end
  end
end

step["+"] = function(node, i, at)
  return node.set[byte(s, i)] and step["*"](node, i + 1, at) or nil
end

step["-"] = function(node, i, at)
  local set = node.set
  while true do
    local result = match(i, at + 1)
    if result then
      return result
    elseif not set[byte(s, i)] then
      return nil
    end
    i = i + 1
  end
end

step["?"] = function(node, i, at)
  return node.set[byte(s, i)] and match(i + 1, at + 1) or match(i, at + 1)
end

step["end"] = function(_, i, at)
  return i == #s + 1 and match(i, at + 1) or nil
end

function step.open(_, i, at)
  if level >= MAX_CAPTURES then
    error("too many captures", 0)
  end
  level = level + 1
  starts[level], ends[level] = i, nil
  local result = match(i, at + 1)
  if not result then
    level = level - 1
  end
  return result
end

function step.position(_, i, at)
  if level >= MAX_CAPTURES then
    error("too many captures", 0)
  end
  level = level + 1
  starts[level], ends[level] = i, 0
  local result = match(i, at + 1)
  if not result then
    level = level - 1
  end
  return result
end

function step.close(_, i, at)
  local open = level
  while open > 0 and ends[open] do
    open = open - 1
  end
  if open == 0 then
    error("invalid pattern capture", 0)
  end
  ends[open] = i
  local result = match(i, at + 1)
  if not result then
    ends[open] = nil
  end
  return result
end

function step.back(node, i, at)
  local index = node.index
  if index < 1 or index > level or not ends[index] then
    error("invalid capture index %" .. index, 0)
  end
  if ends[index] == 0 then -- a position, which Lua treats as a string that cannot match
    return nil
  end
  local size = ends[index] - starts[index]
  if sub(s, i, i + size - 1) == sub(s, starts[index], ends[index] - 1) then
    return match(i + size, at + 1)
  end
end

function step.balance(node, i, at)
  if byte(s, i) ~= node.open then
    return nil
  end
  local open, close, count = node.open, node.close, 1
  while true do
    i = i + 1
    local code = byte(s, i)
    if not code then
      return nil
    elseif code == close then
      count = count - 1
      if count == 0 then
        return match(i + 1, at + 1)
      end
    elseif code == open then
      count = count + 1
    end
  end
end

function step.frontier(node, i, at)
  local before = i > 1 and byte(s, i - 1) or 0
  if not node.set[before] and node.set[byte(s, i) or 0] then
    return match(i, at + 1)
  end
end

local values -- the captures of C, if it made the attempt

local function found_by_c(from, to, ...)
  if from then
    values, level = { ... }, select("#", ...)
    return to + 1
  end
end

-- One attempt at position i: the position after the match, or nil.
local function attempt(subject, program, i, by_c)
  local first = program.first
  if first and not first[byte(subject, i)] then
    return nil
  elseif by_c then
    s = subject
    return found_by_c(find(subject, by_c, i))
  end
  values = nil
  s, nodes, level, depth = subject, program, 0, 0
  return match(i, 1)
end

local function capture(index, from, to)
  if index > level then
    if index ~= 1 then
      error("invalid capture index %" .. index, 0)
    end
    return sub(s, from, to - 1)
  elseif values then
    return values[index]
  elseif not ends[index] then
    error("unfinished capture", 0)
  elseif ends[index] == 0 then
    return starts[index]
  end
  return sub(s, starts[index], ends[index] - 1)
end

-- All captures, or the whole match when there are none; none at all for `find`.
local function captures(from, to)
  local list, n = {}, (level == 0 and from) and 1 or level
  for index = 1, n do
    list[index] = capture(index, from, to)
  end
  return unpack(list, 1, n)
end

-- The functions ------------------------------------------------------------------------------------

local function first_position(init, size)
  if init == nil then
    return 1
  end
  local at = tointeger(tonumber(init))
  if not at then
    error("bad argument #3 (an integer expected)", 0)
  elseif at > 0 then
    return at
  elseif at == 0 or at < -size then
    return 1
  end
  return size + at + 1
end

local function search(subject, pattern, init, by_c)
  local program = program_of(pattern, true)
  for i = first_position(init, #subject), #subject + 1 do
    local after = attempt(subject, program, i, by_c)
    if after then
      return i, after
    elseif program.anchored then
      return nil
    end
  end
end

local pattern_functions = {}

function pattern_functions.find(subject, pattern, init, by_c)
  local from, after = search(subject, pattern, init, by_c)
  if from then
    return from, after - 1, captures()
  end
  return nil
end

function pattern_functions.match(subject, pattern, init, by_c)
  local from, after = search(subject, pattern, init, by_c)
  if from then
    return captures(from, after)
  end
  return nil
end

function pattern_functions.gmatch(subject, pattern, init, by_c)
  local program, at, last = program_of(pattern, false), first_position(init, #subject), nil
  return function()
    for i = at, #subject + 1 do
      local after = attempt(subject, program, i, by_c)
      if after and after ~= last then
        at, last = after, after
        return captures(i, after)
      end
    end
    at = #subject + 2
    return nil
  end
end

local function expand(template, from, to)
  return (
    raw.string.gsub(template, "%%(.?)", function(letter)
      local index = tointeger(tonumber(letter))
      if index == 0 then
        return sub(s, from, to - 1)
      elseif index then
        return capture(index, from, to)
      elseif letter == "%" then
        return "%"
      end
      error("invalid use of '%' in replacement string", 0)
    end)
  )
end

local function replace(kind, replacement, from, to)
  local whole = sub(s, from, to - 1)
  local value
  if kind == "function" then
    value = replacement(captures(from, to))
  elseif kind == "table" then
    value = replacement[capture(1, from, to)]
  else
    return expand(replacement, from, to)
  end
  if not value then
    return whole
  elseif type(value) == "string" or type(value) == "number" then
    return tostring(value)
  end
  error("invalid replacement value (a " .. rt.env.type(value) .. ")", 0)
end

function pattern_functions.gsub(subject, pattern, replacement, limit, by_c)
  local kind = type(replacement)
  if kind == "number" then
    replacement, kind = tostring(replacement), "string"
  elseif kind ~= "string" and kind ~= "table" and kind ~= "function" then
    error("bad argument #3 to 'gsub' (string/function/table expected, got " .. rt.env.type(replacement) .. ")", 0)
  end
  local most = limit == nil and #subject + 1 or tointeger(tonumber(limit))
  if not most then
    error("bad argument #4 to 'gsub' (number expected, got " .. rt.env.type(limit) .. ")", 0)
  end
  local program = program_of(pattern, true)
  local parts, n, count = {}, 0, 0
  local i, copied, last = 1, 1, nil
  while count < most do
    local after = attempt(subject, program, i, by_c)
    if after and after ~= last then
      count = count + 1
      parts[n + 1], parts[n + 2] = sub(subject, copied, i - 1), replace(kind, replacement, i, after)
      n = n + 2
      i, copied, last = after, after, after
    elseif i <= #subject then
      i = i + 1
    else
      break
    end
    if program.anchored then
      break
    end
  end
  parts[n + 1] = sub(subject, copied)
  return concat(parts), count
end

return pattern_functions
