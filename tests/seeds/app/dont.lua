-- 不要使用系统时钟时间
local now = os.time()  -- 非确定性

-- 不要直接使用随机数
local r = math.random()  -- 非确定性

-- 不要在 workflow 代码中进行 I/O
local file = io.open("data.txt")  -- 非确定性

-- 不要使用全局可变状态
counter = counter + 1  -- 在重放时非确定性
