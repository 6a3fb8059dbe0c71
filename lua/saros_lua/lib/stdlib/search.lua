-- Patterns for user code: string.find, match, gmatch, gsub.
--
-- Backtracking takes time that grows with the power of the number of repetitions that something follows.
-- The cost of a search is estimated. Above MAX_STEPS it is done from one position of the text to the next, and
-- when even one of them may take MAX_STEPS, it is done in Lua (both in pattern.lua), where the budget counts.
-- An error would not do: the estimate is an upper bound, which ordinary patterns exceed on short texts
-- (`^%s*(.-)%s*$` at 311 bytes, `(%d+)%-(%d+)%-(%d+)` at 1000), although the search itself takes few steps.
local rt = ...
rt.lasting()
local raw, str = rt.raw, rt.library("string")
local type, error, pcall, metatable = raw.type, raw.error, raw.pcall, raw.getmetatable
local charge, finish, charged_result = rt.charge, rt.finish, rt.charged_result
local text = raw.string
local byte, find, gsub, sub = text.byte, text.find, text.gsub, text.sub

local MAX_STEPS = 5e6 -- of C; some 5 ns each
local MAX_PATTERN = 4096 -- bytes
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

-- loops: repetitions that something follows; factor: ways to take the optional items, times what one step costs
-- when sets are long or plain texts follow; quick: the longest text for which a search needs no second thought
-- (none when the pattern may be malformed).
local function analyse(pattern)
  local anchored = byte(pattern, 1) == 94
  local i, n = anchored and 2 or 1, #pattern
  local loops, factor, open_loop, open_option = 0, 1.0, 0, 0 -- a float, because an integer would wrap
  local sound, open_captures, captures = true, 0, 0
  local widest, run, longest = 0, 0, 0 -- bytes of a set; what the items in a row cost that C takes at one position
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
      -- An item that can fail makes all items before it backtrack.
      loops, open_loop = loops + open_loop, 0
      factor, open_option = factor * (1 + open_option), 0
      if c == 37 and (following == 98 or following and following >= 48 and following <= 57) then -- %b %1
        loops = loops + 1
        sound = false
        i = i + (following == 98 and 4 or 2)
      elseif c == 37 and following == 102 then -- %f
        sound = sound and byte(pattern, i + 2) == 91
        local start = i + 2
        i = class_end(pattern, start)
        local width = i - start
        widest = width > widest and width or widest
        run = run + 4 * width -- it reads its set twice
        longest = run > longest and run or longest
      else
        local start = i
        i = class_end(pattern, i)
        local width = i - start
        widest = width > widest and width or widest
        local suffix = byte(pattern, i)
        run = run + (width > 2 and 2 * width or 1)
        if suffix == 42 or suffix == 43 or suffix == 45 then -- * + -
          open_loop, run = 1, 0
          i = i + 1
        elseif suffix == 63 then -- ?
          open_option = 1
          i = i + 1
        end
        longest = run > longest and run or longest
      end
    end
  end
  factor = factor * (1 + widest // 8 + longest // 16)
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
    if #pattern > MAX_PATTERN then
      if not find(pattern, "[%^%$%*%+%?%.%(%[%%%-]") then
        return { plain = true }
      end
      error("a pattern may have at most " .. MAX_PATTERN .. " bytes, this one has " .. #pattern
        .. "; a plain text is looked for with string.find(s, text, 1, true)", 0)
    end
    charge(#pattern)
    if n_costs >= 200 then
      costs, n_costs = {}, 0
    end
    cost = analyse(pattern)
    costs[pattern], n_costs = cost, n_costs + 1
  end
  return cost
end

-- Charges for a search and tells whether C may do it; if not, the second result is the pattern for a search from
-- one position only, unless even that takes too long. `many`: the anchor does not count.
local function affordable(s, pattern, many)
  local cost = cost_of(pattern)
  local n = #s + 1
  charge(n // 8)
  local steps = cost.factor or 1
  for i = 1, cost.loops or 0 do
    steps = steps * n / i
  end
  local anchored = cost.anchored and not many
  local all = anchored and steps or steps * n
  if all > 1e5 then
    charge(1000) -- enough to make the clock be checked
  end
  return all <= MAX_STEPS, not anchored and steps <= MAX_STEPS / 100 and "^" .. pattern or nil
end

-- An argument that Lua accepts as a string, as a string; anything else unchanged (and C raises).
local function as_text(value)
  return type(value) == "number" and raw.tostring(value) or value
end

local function in_lua(name)
  return rt.library("pattern")[name]
end

local PIECE = 1 << 27 -- bytes that are compared at once, in the worst case
local MAX_PLAIN = 16384 -- bytes of a string that is searched for in a much longer one

-- As Lua's own, in pieces.
local function find_in_pieces(s, pattern, init)
  local m, at = #pattern, raw.math.tointeger(raw.tonumber(init or 1)) or 1
  if m > MAX_PLAIN then
    error("string.find: a text that is looked for in " .. #s .. " bytes may have at most " .. MAX_PLAIN
      .. " bytes, this one has " .. m, 0)
  end
  at = at < 0 and #s + at + 1 or at
  at = at < 1 and 1 or at
  local size = PIECE // m
  while at <= #s do
    charge(1000 + size // 8)
    local from, to = find(sub(s, at, at + size + m - 2), pattern, 1, true)
    if from then
      return from + at - 1, to + at - 1
    end
    at = at + size
  end
  return nil
end

local function plain_find(s, pattern, init)
  if #s * #pattern > PIECE then
    return finish(pcall(find_in_pieces, s, pattern, init))
  end
  charge(#s // 8 + #s * #pattern // 128)
  return finish(pcall(find, s, pattern, init, true))
end

-- A search by its estimate, after the quick check.
local function search(name, s, pattern, init, plain)
  s, pattern = as_text(s), as_text(pattern)
  if type(s) == "string" and type(pattern) == "string" then
    if name == "find" and (plain or cost_of(pattern).plain) then
      return plain_find(s, pattern, init)
    end
    local by_c, stepwise = affordable(s, pattern, name == "gmatch")
    if not by_c then
      return in_lua(name)(s, pattern, init, stepwise)
    end
  end
  return text[name](s, pattern, init)
end

local function searcher(name)
  local fn = text[name]
  return function(s, pattern, init, plain)
    local cost = costs[pattern]
    if cost and init == nil and not plain and type(s) == "string" and #s <= cost.quick then
      charge(#s // 8)
      return fn(s, pattern)
    end
    return finish(pcall(search, name, s, pattern, init, plain))
  end
end

str.find, str.match = searcher("find"), searcher("match")

function str.gmatch(s, pattern, init)
  return finish(pcall(search, "gmatch", s, pattern, init))
end

-- Lua's own messages about a substitution; any other error comes from a callback.
local function is_complaint(err)
  return type(err) == "string" and (find(err, "^bad argument") or find(err, "^malformed") or find(err, "^invalid "))
end

local function substituted(kind, ok, err, ...)
  if not ok and kind == "function" and not is_complaint(err) then
    return rt.pass(ok, err)
  end
  return charged_result(ok, err, ...)
end

local function substitute(kind, s, pattern, replacement, limit)
  s, pattern = as_text(s), as_text(pattern)
  if type(s) == "string" and type(pattern) == "string" then
    local by_c, stepwise = affordable(s, pattern)
    -- A template is read for every match.
    local long = kind == "string" and #replacement > 64 and (#s + 1) * #replacement > MAX_STEPS
    if not by_c or long or kind == "table" and metatable(replacement) then
      return in_lua("gsub")(s, pattern, replacement, limit, stepwise)
    end
  end
  return gsub(s, pattern, replacement, limit)
end

function str.gsub(s, pattern, replacement, limit)
  local kind, cost = type(replacement), costs[pattern]
  if kind == "string" and cost and limit == nil and type(s) == "string" and #s <= cost.quick then
    if #replacement <= 64 and not find(replacement, "%", 1, true) then
      charge(#s // 8)
      return charged_result(true, gsub(s, pattern, replacement))
    end
  end
  return substituted(kind, pcall(substitute, kind, s, pattern, replacement, limit))
end
