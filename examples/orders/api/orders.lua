-- The API of orders. An order placed here waits for a person's decision: it is an execution of app:approval, whose
-- id and name are "order-" and the order's id.
local http = require("http")

local function problem(status, detail)
  return http.response()
    :set_content_type(http.CONTENT.PROBLEM)
    :status(status)
    :json({ status = status, detail = detail })
end

local STATUS_OF = {
  [errors.NOT_FOUND] = http.STATUS.NOT_FOUND,
  [errors.ALREADY_EXISTS] = http.STATUS.CONFLICT,
  [errors.INVALID] = http.STATUS.BAD_REQUEST,
  [errors.UNAVAILABLE] = http.STATUS.SERVICE_UNAVAILABLE,
}

-- Only what the client can do something about is told; the rest is an error of ours.
local function failed(err)
  local status = STATUS_OF[err:kind()]
  if not status then
    error(err)
  end
  return problem(status, err:message())
end

local function name_of(id)
  return "order-" .. id
end

-- An id that can be part of a path and of a workflow's id.
local function valid(id)
  return type(id) == "string" and #id <= 100 and id:find("^[%w_-]+$") ~= nil
end

-- What is wrong with an order, or nil. The workflow makes search attributes of these, which have types.
local function mistake(order)
  if type(order) ~= "table" or not valid(order.id) then
    return "an order has an id of letters, digits, _ and -"
  elseif order.customer_id ~= nil and type(order.customer_id) ~= "string" then
    return "customer_id must be a text"
  elseif order.total ~= nil and type(order.total) ~= "number" then
    return "total must be a number"
  end
end

-- POST /orders
local function create()
  local order, err = http.request():body_json()
  if err then
    return problem(http.STATUS.BAD_REQUEST, err:message())
  end
  local wrong = mistake(order)
  if wrong then
    return problem(http.STATUS.UNPROCESSABLE_ENTITY, wrong)
  end
  -- One execution per id, ever: a client that sends an order again, not knowing whether it arrived, does no harm.
  local name = name_of(order.id)
  local _, failure = process
    .with_options({
      ["workflow.id"] = name,
      ["workflow.id_conflict_policy"] = "fail",
      ["workflow.id_reuse_policy"] = "reject_duplicate",
    })
    :with_name(name)
    :spawn("app:approval", "app:worker", order)
  if failure then
    if errors.is(failure, errors.ALREADY_EXISTS) then
      return problem(http.STATUS.CONFLICT, "the order " .. order.id .. " exists already")
    end
    return failed(failure)
  end
  return http.response()
    :status(http.STATUS.CREATED)
    :set_header("Location", "/orders/" .. order.id)
    :json({ id = order.id, workflow_id = name, status = "started" })
end

-- GET /orders/{id}
local function show()
  local id = http.request():param("id")
  local found, err = process.describe(name_of(id))
  if err then
    return failed(err)
  end
  return http.response():json({
    id = id,
    workflow_id = found.id,
    status = found.status,
    stage = found.search_attributes.stage,
    started = found.start_time,
    ended = found.close_time,
    result = found.result,
  })
end

-- POST /orders/{id}/approve
local function approve()
  local req = http.request()
  local body = {}
  if req:has_body() then
    local err
    body, err = req:body_json()
    if err or type(body) ~= "table" then
      return problem(http.STATUS.BAD_REQUEST, "the body must be a JSON object")
    end
  end
  local _, err = process.send(name_of(req:param("id")), "approve", {
    approved_by = body.approved_by,
    comment = body.comment,
  })
  if err then
    return failed(err)
  end
  return http.response():status(http.STATUS.ACCEPTED):json({ status = "approving" })
end

-- GET /orders/{id}/events: what has happened so far, and then each thing as it happens.
local function events()
  local req, res = http.request(), http.response()
  local name, cursor = name_of(req:param("id")), req:header("Last-Event-ID")
  local page, err = process.history(name, cursor)
  if err then
    return failed(err)
  end
  while true do
    for i, event in ipairs(page.events) do
      local last = i == #page.events
      local sent = res:write_event({ id = last and page.cursor or nil, event = event.name, data = event })
      if not sent then
        return -- the client has gone
      end
    end
    cursor = page.cursor
    if not cursor then
      break
    end
    page, err = process.history(name, cursor)
    if err then
      return
    end
  end
  res:write_event({ event = "end", data = { status = page.status } })
end

return { create = create, show = show, approve = approve, events = events }
