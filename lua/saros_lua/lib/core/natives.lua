-- The first chunk of a VM, run in Lua's real globals: rt.raw, the part of Lua that the library may
-- use, and functions that read the frames of user code. User code never sees the real globals; it gets rt.env.
local rt = ...
local byte, sub, upper, concat, load = string.byte, string.sub, string.upper, table.concat, load
local getinfo, tointeger = debug.getinfo, math.tointeger

rt.raw = {
  getmetatable = debug.getmetatable, -- sees through __metatable
  assert = assert, error = error, ipairs = ipairs, next = next,
  pairs = pairs, pcall = pcall, rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = rawset,
  select = select, setmetatable = setmetatable, tonumber = tonumber, tostring = tostring, type = type,
  xpcall = xpcall,
  coroutine_close = coroutine.close, coroutine_create = coroutine.create,
  coroutine_isyieldable = coroutine.isyieldable, coroutine_resume = coroutine.resume,
  coroutine_running = coroutine.running, coroutine_status = coroutine.status, coroutine_yield = coroutine.yield,
  string = string, table = table, math = math, utf8 = utf8, os = os,
}
rt.lazy = rt.keep({}) -- name of a global -> the function that makes it on first use

-- Lua compares strings and writes numbers by the locale: outside the C locale, the same code would behave
-- differently, and JSON would have commas in its numbers.
for _, category in ipairs({ "collate", "numeric" }) do
  local locale = os.setlocale(nil, category)
  if locale ~= "C" and locale ~= "POSIX" and sub(locale, 1, 2) ~= "C." then
    error("Lua code needs the C locale for LC_" .. upper(category) .. ", and this process has set " .. locale
      .. "; call locale.setlocale(locale.LC_" .. upper(category) .. ', "C") after what sets it', 0)
  end
end

-- The place of user code: library chunks are named "=...", files of the app "@...".
local function where()
  local level = 2
  local info = getinfo(level, "Sl")
  while info and level < 200 do -- each level takes longer to find than the one before
    if byte(info.source) == 64 then
      return sub(info.source, 2) .. ":" .. info.currentline
    end
    level = level + 1
    info = getinfo(level, "Sl")
  end
end
rt.where = where

-- The current place; if a tail call has removed the frame: where the task's function begins.
local function place()
  local found = where()
  if found then
    return found
  end
  local task = rt.current and rt.current()
  for _, fn in ipairs({ task and task.fn or false, rt.main or false }) do
    local info = fn and getinfo(fn, "S")
    if info and byte(info.source) == 64 then
      return sub(info.source, 2) .. ":" .. (info.linedefined > 0 and info.linedefined or 1)
    end
  end
end
rt.place = place

local function placed(message)
  local at = place()
  return at and at .. ": " .. message or message
end

-- Library errors are raised at the place of the user's code; level 0 adds no place.
function rt.raw.error(message, level)
  if level ~= 0 and type(message) == "string" then
    message = placed(message)
  end
  error(message, 0)
end

-- The user's `error`. If a tail call has removed the caller's frame, the nearest place of user code counts.
function rt.user_error(message, level)
  if type(message) == "string" and level ~= 0 then
    local info = getinfo((tointeger(level) or 1) + 1, "Sl")
    if info and byte(info.source) == 64 then
      message = info.short_src .. ":" .. info.currentline .. ": " .. message
    elseif tointeger(level or 1) == 1 and getinfo(1, "t").istailcall then
      message = placed(message) -- otherwise C made the call, as in `pcall(error, text)`, which has no place in Lua either
    end
  end
  error(message, 0)
end

-- An error that escaped from a library function, at the place of the user's code.
function rt.told(err, at)
  local text = err == "invalid key to 'next'" and err
    or type(err) == "string" and sub(err, 1, 6) == "?:-1: " and sub(err, 7)
  if not text then
    return err
  end
  at = at or place()
  return at and at .. ": " .. text or text
end

-- The user's frames of a coroutine (default: the running one), innermost first, one per line: those outside the
-- function `from`, if it is given, and inside of the function `to`.
function rt.traceback(co, from, to)
  local lines, n = {}, 0
  local what = (from or to) and "Slnf" or "Sln"
  for level = co and 0 or 2, 200 do
    local info
    if co then
      info = getinfo(co, level, what)
    else
      info = getinfo(level, what)
    end
    if not info or n == 30 or to and info.func == to then
      break
    end
    if from then
      if info.func == from then
        from = nil
      end
    elseif byte(info.source) == 64 then
      local name = info.what == "main" and "main chunk" or info.name or "function <line " .. info.linedefined .. ">"
      n = n + 1
      lines[n] = sub(info.source, 2) .. ":" .. info.currentline .. ": in " .. name
    end
  end
  return concat(lines, "\n")
end

-- Loads text, or bytecode that the host made (user code never gets here).
function rt.load(code, name, chunk_env)
  return load(code, name, byte(code, 1) == 27 and "b" or "t", chunk_env)
end
