-- Patterns for user code: string.find, match, gmatch, gsub.
--
-- Backtracking takes time that grows with the power of the number of repetitions that something follows.
-- What a search can cost is estimated; above MAX_STEPS it is done in Lua (pattern.lua), where the budget
-- counts.
local rt = ...
rt.lasting()
local raw, str = rt.raw, rt.library("texts")
local type, error, pcall, metatable = raw.type, raw.error, raw.pcall, raw.getmetatable
local charge, finish, charged_result = rt.charge, rt.finish, rt.charged_result
local text = raw.string
local byte, find, gsub = text.byte, text.find, text.gsub

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
