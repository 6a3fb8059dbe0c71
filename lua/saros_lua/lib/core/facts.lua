-- Facts that the driver supplies in the middle of a run, and the run's own random numbers.
local rt = ...
local raw = rt.raw
local byte, unpack = raw.string.byte, raw.string.unpack
local EFFECT = rt.EFFECT

-- The version of a change, and whether a command records it; nil, nil, why when the task must fail.
function rt.facts_version(change_id, lowest, highest)
  local ok, version, record = rt.host("version", change_id, lowest, highest)
  if not ok then
    return nil, nil, record
  end
  return version, record
end

-- The recorded JSON of the next side effect, or nil when it is new; and whether a done event
-- brings the recorded value instead.
function rt.facts_side_effect()
  local ok, recorded, settles = rt.host("recorded", rt.next_ref())
  if not ok then
    raw.error(settles, 0)
  end
  return recorded, settles
end

-- The search attributes (JSON) that can be stored, and why the others cannot.
function rt.facts_attributes(search)
  local ok, kept, why = rt.host("admit_attributes", search)
  if not ok then
    return "{}", why
  end
  return kept, why
end

rt.print = function(text)
  local ok, _, why = rt.host("log", "info", text, "{}")
  if not ok then
    raw.error(why, 0)
  end
end

-- Random numbers. Those of uuid and crypto are derived from 256 bits of the operating system that are recorded
-- with the run, so that nobody can derive them from an id; math.random has a seed of the same origin.
local draws -- how many draws there were

rt.each_program(function()
  draws = 0
  rt.happening, rt.naming = nil, nil
end)

local function of_system(n)
  local ok, bytes, why = rt.host("random", n)
  if not ok then
    raw.error(why, 0)
  end
  return bytes
end

-- Random bytes: in a workflow from the run's own, elsewhere, and within a side effect, from the system.
function rt.random_bytes(n)
  if not rt.workflow or rt.happening then
    return of_system(n)
  elseif rt.answering then
    rt.refuse_query()
  end
  draws = draws + 1
  local ok, bytes, why = rt.host("random_of_run", rt.start.secret, draws, n)
  if not ok then
    raw.error(why, 0)
  end
  return bytes
end

-- Seeds math.random of this execution; `text` is unique to the run.
function rt.seed_from(text)
  local hash = 0xCBF29CE484222325 -- FNV-1a
  local bytes = { byte(text, 1, -1) }
  for i = 1, #bytes do
    hash = (hash ~ bytes[i]) * 0x100000001B3
  end
  rt.seed(hash, #text)
end

-- Begins a side effect. Its random numbers are the system's, because its result is recorded, and its counters
-- are in rt.happening. It may do nothing that a replay, which does not run it, would miss. The returned function
-- ends it and goes on with the random numbers of the run.
function rt.random_apart()
  rt.changing()
  local a, b = raw.math.random(0), raw.math.random(0)
  raw.math.randomseed(unpack("<i8i8", of_system(16)))
  rt.happening = rt.new_effect()
  rt.only_read(EFFECT, rt.happening)
  return function()
    rt.happening = nil
    rt.read_only_no_more()
    raw.math.randomseed(a, b)
  end
end
