-- Waits until a person approves or rejects an order; gives up after two days. Gives the decision.
local time = require("time")
local workflow = require("workflow")

local PATIENCE = "48h"

local function main(order)
  local decision = { status = "waiting" }
  workflow.attrs({
    search = { stage = decision.status, customer_id = order.customer_id, order_total = order.total },
    memo = { notes = "needs a decision", source = "examples/orders" },
  })

  -- `saros query ID decision` asks this while it waits.
  workflow.on_query("decision", function()
    return decision
  end)

  local inbox = process.inbox()
  local deadline = time.after(PATIENCE)

  while decision.status == "waiting" do
    -- Whichever comes first. Both could be there; then the first that is listed wins, on every replay.
    local ready = channel.select({ inbox:case_receive(), deadline:case_receive() })
    if ready.channel == deadline then
      decision = { status = "expired", after = PATIENCE }
    else
      local topic, data = ready.value:topic(), ready.value:payload():data() or {}
      if topic == "approve" then
        decision = { status = "approved", by = data.approved_by, comment = data.comment }
      elseif topic == "cancel" then
        decision = { status = "cancelled", reason = data.reason }
      end
      -- Any other topic is no decision: wait on.
    end
  end

  workflow.attrs({ search = { stage = decision.status } })
  return decision
end

return { main = main }
