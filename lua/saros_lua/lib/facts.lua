-- What the driver answers in the middle of a run, and the run's own random numbers.
local rt = ...
local raw = rt.raw
local sub, pack, concat = raw.string.sub, raw.string.pack, raw.table.concat

-- Version of a change, and whether a command records it; nil, nil, why when the task must fail.
function rt.facts_version(change_id, lowest, highest)
  local ok, version, record = rt.host("version", change_id, lowest, highest)
  if not ok then
    return nil, nil, record
  end
  return version, record
end

-- The recorded JSON of the side effect that comes next, or nil when it is new; and whether a done event
-- tells what is recorded instead.
function rt.facts_side_effect()
  local _, recorded, settles = rt.host("recorded", rt.next_ref())
  return recorded, settles
end

-- Those of these search attributes (JSON) that can be stored, and why the others cannot.
function rt.facts_attributes(search)
  local ok, kept, why = rt.host("admit_attributes", search)
  if not ok then
    return "{}", why
  end
  return kept, why
end

rt.print = function(text)
  rt.host("log", "info", text, "{}")
end

-- splitmix64: a stream of its own, which math.randomseed of user code does not disturb.
local state

rt.each_program(function()
  state = nil
end)

local function next_word()
  state = state + 0x9E3779B97F4A7C15
  local z = state
  z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ~ (z >> 27)) * 0x94D049BB133111EB
  return z ~ (z >> 31)
end

-- Random bytes: in a workflow from the run's seed, elsewhere from the operating system.
function rt.random_bytes(n)
  if not rt.workflow then
    local _, bytes = rt.host("random", n)
    return bytes
  elseif rt.answering then
    rt.refuse_query()
  end
  local words = {}
  for i = 1, (n + 7) // 8 do
    words[i] = pack("<i8", next_word())
  end
  return sub(concat(words), 1, n)
end

-- Seeds every random number of this execution; `text` is its run id, or anything else that is its own.
function rt.seed_from(text)
  local hash = 0xCBF29CE484222325 -- FNV-1a
  for i = 1, #text do
    hash = (hash ~ raw.string.byte(text, i)) * 0x100000001B3
  end
  state = hash
  rt.seed(next_word(), next_word())
end

-- Marks a place in the random numbers; the function that it gives goes on from there, whatever was taken since.
function rt.random_apart()
  local words = state
  local a, b = raw.math.random(0), raw.math.random(0)
  return function()
    state = words
    raw.math.randomseed(a, b)
  end
end
