-- Runs until it is told to end.
local function main()
  while process.inbox():receive():topic() ~= "end" do
  end
  return "ended"
end

return { main = main }
