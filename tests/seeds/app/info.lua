local workflow = require("workflow")

local info = workflow.info()
print(info.workflow_id)    -- Workflow 执行 ID
print(info.run_id)         -- 当前运行 ID
print(info.workflow_type)  -- Workflow 类型名称
print(info.task_queue)     -- 任务队列名称
print(info.namespace)      -- Temporal 命名空间
print(info.attempt)        -- 当前尝试次数
print(info.history_length) -- 历史事件数量
print(info.history_size)   -- 历史大小（字节）
