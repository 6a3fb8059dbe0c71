-- An order: it waits for approval, and tells how it stands.
local ctx = require("ctx")
local workflow = require("workflow")

local function main(order)
  workflow.attrs({ search = { order_status = "waiting" } })
  local inbox = process.inbox()
  while true do
    local msg = inbox:receive()
    local data = msg:payload():data() or {}
    if msg:topic() == "approve" then
      workflow.attrs({ search = { order_status = "approved" } })
      return { id = order.id, status = "approved", by = data.approved_by, request_id = ctx.get("request_id") }
    elseif msg:topic() == "cancel" then
      return { id = order.id, status = "cancelled", reason = data.reason }
    end
  end
end

return { main = main }
