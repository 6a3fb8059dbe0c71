-- The first chunk of a VM, run in Lua's real globals: rt.raw, which is all of Lua that the library may
-- use, and what looks at the frames of user code. User code never sees the real globals; it gets rt.env.
local rt = ...
local byte, sub, upper, concat, load = string.byte, string.sub, string.upper, table.concat, load
local getinfo = debug.getinfo

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
rt.lazy = rt.keep({}) -- name of a global -> what makes it on first use

-- Texts are compared and numbers are written as the locale says: other than in C, the same code would do
-- something else, and JSON have commas in its numbers.
for _, category in ipairs({ "collate", "numeric" }) do
  local locale = os.setlocale(nil, category)
  if locale ~= "C" and locale ~= "POSIX" and sub(locale, 1, 2) ~= "C." then
    error("Lua code needs the C locale for LC_" .. upper(category) .. ", and this process has set " .. locale
      .. "; call locale.setlocale(locale.LC_" .. upper(category) .. ', "C") after what sets it', 0)
  end
end

-- Where a user's code is: library chunks are named "=...", files of the app "@...".
local function where()
  local level = 2
  local info = getinfo(level, "Sl")
  while info and level < 200 do -- each level takes longer than the one before
    if byte(info.source) == 64 then
      return sub(info.source, 2) .. ":" .. info.currentline
    end
    level = level + 1
    info = getinfo(level, "Sl")
  end
end
rt.where = where

-- The user's frames of a coroutine (default: the running one), innermost first, one per line.
function rt.traceback(co)
  local lines, n = {}, 0
  for level = co and 0 or 2, 200 do
    local info
    if co then
      info = getinfo(co, level, "Sln")
    else
      info = getinfo(level, "Sln")
    end
    if not info or n == 30 then
      break
    end
    if byte(info.source) == 64 then
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
