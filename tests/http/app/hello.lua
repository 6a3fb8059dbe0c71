-- The smallest handler.
local http = require("http")

local function main()
  return http.response():json({ hello = http.request():param("name") })
end

return { main = main }
