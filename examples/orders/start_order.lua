-- Starts the order workflow from a function, as an HTTP handler would. Gives its pid at once.
local function main(order)
  local pid, err = process.spawn("app:order_workflow", "app:worker", order)
  if err then
    return nil, err
  end
  return { workflow_id = tostring(pid), status = "started" }
end

return { main = main }
