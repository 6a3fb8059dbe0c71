-- 使用 workflow info 获取当前时间上下文
local info = workflow.info()

-- 使用持久化休眠
time.sleep("1h")

-- 使用 activity 进行 I/O
local data = funcs.call("app:fetch_data", id)

-- 使用版本控制处理代码变更
local v = workflow.version("change-1", 1, 2)
