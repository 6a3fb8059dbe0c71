-- {retention in microseconds, limit}: delete runs that closed longer ago; returns their number.
local closed = key("x", "closed")
local runs = call("ZRANGEBYSCORE", closed, "-inf", text(steady() - input[1]), "LIMIT", 0, input[2])
local function forget(run)
  local m = key("m", run)
  local fields, found = call("HGETALL", m), {}
  for index = 1, #fields, 2 do
    found[fields[index]] = fields[index + 1]
    local name = string.match(fields[index], "^term:(.*)$")
    if name then
      index_terms(run, 0, name, fields[index + 1], false)
    end
  end
  if found.status then
    call("ZREM", key("x", "status:" .. found.status), run)
    call("ZREM", key("x", "type:" .. found.type), run)
    if call("HGET", key("e", found.id), "run") == run then
      call("DEL", key("e", found.id), key("k", found.id))
    end
  end
  call("UNLINK", m, key("h", run), key("i", run), key("c", run), key("d", run))
end

for _, run in ipairs(runs) do
  call("ZREM", closed, run)
  call("ZREM", key("x", "all"), run)
  local ok, why = guard(forget, run)
  if not ok then
    note("the closed run " .. run .. " could not be deleted completely: " .. why)
  end
end
return #runs
