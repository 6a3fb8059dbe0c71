-- The env module: variables of the process environment, and those that entries declare.
local rt = ...
rt.lasting()

return {
  get = function(name)
    if rt.raw.type(name) ~= "string" or name == "" then
      return rt.fail("Invalid", "env.get expects the name of a variable, a non-empty string")
    end
    local ok, value, why = rt.host("env_get", name)
    if not ok then
      return rt.fail(value, why)
    end
    return value, nil
  end,
  get_all = function()
    local ok, list, why = rt.host("env_get_all")
    if not ok then
      return rt.fail(list, why)
    end
    local all = {}
    for name, value in rt.raw.string.gmatch(list, "([^\0]*)\0([^\0]*)\0") do
      all[name] = value
    end
    return all, nil
  end,
}
