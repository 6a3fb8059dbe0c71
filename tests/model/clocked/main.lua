-- Runs branches of operations side by side; returns the result and the duration of each operation.
local funcs, time, workflow = require("funcs"), require("time"), require("workflow")

local function options(more)
  return funcs.new():with_options(more)
end

local function kind(_, err)
  return err and err:kind() or "done"
end

local function attempts(n, number)
  return { initial_interval = n, maximum_interval = n, backoff_coefficient = 1, maximum_attempts = number }
end

local function child(more, what)
  local result, err = process.with_options(more):exec("app:child", "app:worker", what)
  return result or err:kind()
end

local does = {
  sleep = function(n)
    return time.sleep(n .. "ms")
  end,
  reset = function(n)
    local timer = time.timer("2h")
    timer:reset(n .. "ms")
    return select(2, timer:channel():receive())
  end,
  ticks = function(n)
    local ticker = time.ticker(n .. "ms")
    for _ = 1, 3 do
      ticker:channel():receive()
    end
    ticker:stop()
    return true
  end,
  nap = function(n)
    return funcs.call("app:naps", "sleep", n)
  end,
  ticks_there = function(n)
    return funcs.call("app:naps", "ticks", n)
  end,
  retry = function(n, key)
    return options({ ["activity.retry_policy"] = attempts(n, 5) }):call("app:flaky", key, 2)
  end,
  retry_near = function(n, key)
    local near = { ["activity.local"] = true, ["activity.retry_policy"] = attempts(n, 5) }
    return options(near):call("app:flaky", key, 2)
  end,
  to_close = function(n)
    return kind(options({ ["activity.schedule_to_close_timeout"] = n }):call("app:hangs"))
  end,
  to_start = function(n)
    local nowhere = { ["activity.task_queue"] = "nobody", ["activity.schedule_to_start_timeout"] = n }
    return kind(options(nowhere):call("app:hangs"))
  end,
  attempt = function(n)
    local once = { ["activity.start_to_close_timeout"] = n, ["activity.retry_policy"] = attempts(1, 1) }
    return kind(options(once):call("app:hangs"))
  end,
  attempt_near = function(n)
    return kind(options({
      ["activity.local"] = true,
      ["activity.start_to_close_timeout"] = n,
      ["activity.retry_policy"] = attempts(1, 1),
    }):call("app:hangs"))
  end,
  silence = function(n)
    local once = { ["activity.heartbeat_timeout"] = n, ["activity.retry_policy"] = attempts(1, 1) }
    return kind(options(once):call("app:hangs"))
  end,
  child_expires = function(n)
    return child({ ["workflow.execution_timeout"] = n }, "waits")
  end,
  child_runs_out = function(n)
    return child({ ["workflow.run_timeout"] = n }, "waits")
  end,
  child_is_delayed = function(n)
    return child({ ["workflow.start_delay"] = n }, "ends")
  end,
  child_retries = function(n)
    local options = { ["workflow.retry_policy"] = attempts(n, 3), ["workflow.execution_timeout"] = "2h" }
    return child(options, "fails")
  end,
}

return {
  main = function(branches, name)
    local done, results = channel.new(#branches), {}
    for index, ops in ipairs(branches) do
      results[index] = {}
      coroutine.spawn(function()
        for number, op in ipairs(ops) do
          local before = funcs.call("app:now")
          local value, err = does[op[1]](op[2], name .. index .. ":" .. number)
          local took = (funcs.call("app:now") - before) / 1e6
          results[index][number] = { took, err and tostring(err) or value }
        end
        done:send(true)
      end)
    end
    for _ = 1, #branches do
      done:receive()
    end
    return results
  end,
}
