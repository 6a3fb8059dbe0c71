-- The module slug: slug.make(text) gives a text for URLs, or nil and an error.
local rt = ...

local slug = {}

function slug.make(text)
  if rt.raw.type(text) ~= "string" then
    return rt.fail("Invalid", "slug.make expects a string, not a " .. rt.env.type(text))
  end
  -- The host function's results follow true; false, an error's kind and its message when it raised.
  local ok, result, why = rt.host("slug_make", text)
  if not ok then
    return rt.fail(result, why)
  end
  return result, nil
end

return slug
