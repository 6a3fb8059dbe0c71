local M = {}
function M.twice(n) return n * 2 end
return M
