local length = workflow.history_length()
if length > 10000 then
    -- 考虑使用 continue-as-new
end
