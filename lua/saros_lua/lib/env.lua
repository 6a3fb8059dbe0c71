-- The env module: variables of the process environment.
local rt = ...
rt.lasting()

return {
  get = function(name)
    if rt.raw.type(name) ~= "string" or name == "" then
      return rt.fail("Invalid", "env.get wants the name of a variable, a text that is not empty")
    end
    local ok, value, why = rt.host("env_get", name)
    if not ok then
      return rt.fail(value, why)
    end
    return value, nil
  end,
}
