local pid, err = process.spawn(
    "app:order_workflow",    -- workflow 条目
    "app:worker",            -- temporal worker
    {order_id = "123"}       -- 输入
)
