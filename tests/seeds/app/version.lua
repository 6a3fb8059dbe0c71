local version = workflow.version("payment-v2", 1, 2)

if version == 1 then
    -- 旧行为（用于现有执行）
    result = funcs.call("app:old_payment", input)
else
    -- 新行为（版本 2）
    result = funcs.call("app:new_payment", input)
end
