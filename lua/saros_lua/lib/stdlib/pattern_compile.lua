-- Lua's patterns as lists of nodes, for pattern.lua. Malformed ones raise Lua's own messages.
local rt = ...
rt.lasting()
local raw = rt.raw
local byte, sub, char, find = raw.string.byte, raw.string.sub, raw.string.char, raw.string.find
local error, setmetatable = raw.error, raw.setmetatable

local sets, n_sets = {}, 0 -- class, such as "%a" or "[x-z]" -> {[byte] = true}

local function set_of(class)
  local set = sets[class]
  if not set then
    set = {}
    for code = 0, 255 do
      set[code] = find(char(code), class) ~= nil
    end
    if n_sets >= 200 then
      sets, n_sets = {}, 0
    end
    sets[class], n_sets = set, n_sets + 1
  end
  return set
end

-- The class that starts at i, and where it ends.
local function class_at(pattern, i)
  local first = byte(pattern, i)
  if first == 37 then -- %
    if i == #pattern then
      error("malformed pattern (ends with '%')", 0)
    end
    return sub(pattern, i, i + 1), i + 2
  elseif first ~= 91 then -- [
    local text = sub(pattern, i, i)
    return find(text, "[%^%$%*%+%?%-%(%)%]]") and "%" .. text or text, i + 1
  end
  local at = i + 1
  if byte(pattern, at) == 94 then -- ^
    at = at + 1
  end
  repeat
    local code = byte(pattern, at)
    if not code then
      error("malformed pattern (missing ']')", 0)
    elseif code == 37 then
      at = at + 1
    end
    at = at + 1
  until byte(pattern, at) == 93 -- ]
  return sub(pattern, i, at), at + 1
end

local REPEAT = { [42] = "*", [43] = "+", [45] = "-", [63] = "?" }

local function special(pattern, i, nodes)
  local letter = byte(pattern, i + 1)
  if letter == 98 then -- %b
    if i + 3 > #pattern then
      error("malformed pattern (missing arguments to '%b')", 0)
    end
    nodes[#nodes + 1] = { kind = "balance", open = byte(pattern, i + 2), close = byte(pattern, i + 3) }
    return i + 4
  elseif letter == 102 then -- %f
    if byte(pattern, i + 2) ~= 91 then
      error("missing '[' after '%f' in pattern", 0)
    end
    local class, after = class_at(pattern, i + 2)
    nodes[#nodes + 1] = { kind = "frontier", set = set_of(class) }
    return after
  elseif letter and letter >= 48 and letter <= 57 then
    nodes[#nodes + 1] = { kind = "back", index = letter - 48 }
    return i + 2
  end
end

local function compile(pattern, anchors)
  local nodes, i = {}, 1
  if anchors and byte(pattern, 1) == 94 then
    nodes.anchored = true
    i = 2
  end
  while i <= #pattern do
    local code = byte(pattern, i)
    local after = code == 37 and special(pattern, i, nodes)
    if after then
      i = after
    elseif code == 40 then
      local empty = byte(pattern, i + 1) == 41
      nodes[#nodes + 1] = { kind = empty and "position" or "open" }
      i = i + (empty and 2 or 1)
    elseif code == 41 then
      nodes[#nodes + 1] = { kind = "close" }
      i = i + 1
    elseif code == 36 and i == #pattern then
      nodes[#nodes + 1] = { kind = "end" }
      i = i + 1
    else
      local class, next_i = class_at(pattern, i)
      local kind = REPEAT[byte(pattern, next_i)]
      nodes[#nodes + 1] = { kind = kind or "one", set = set_of(class) }
      i = next_i + (kind and 1 or 0)
    end
  end
  local at = 1
  while nodes[at] and (nodes[at].kind == "open" or nodes[at].kind == "position") do
    at = at + 1
  end
  local first = nodes[at]
  if first and (first.kind == "one" or first.kind == "+") then
    nodes.first = first.set -- the set with which every match starts
  end
  return nodes
end

local programs = setmetatable({}, { __mode = "v" })

-- The nodes of a pattern; with `anchors`, a leading ^ is one.
return function(pattern, anchors)
  local key = (anchors and "a" or "g") .. pattern
  local program = programs[key]
  if not program then
    program = compile(pattern, anchors)
    programs[key] = program
  end
  return program
end
