-- The base64 module: the standard alphabet, with padding.
local rt = ...
rt.lasting()
local type = rt.raw.type

local function converter(name)
  return function(value)
    if type(value) ~= "string" then
      return rt.fail("Invalid", "base64." .. name .. " expects a string, not a " .. rt.env.type(value))
    end
    local ok, result, why = rt.host("base64_" .. name, value)
    if not ok then
      return rt.fail(result, why)
    end
    return result, nil
  end
end

return { encode = converter("encode"), decode = converter("decode") }
