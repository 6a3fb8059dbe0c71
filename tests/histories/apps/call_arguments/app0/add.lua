return { main = function(...) return {n = select('#', ...), a = (...), c = select('#', ...) > 2 and (select(3, ...)) or false} end }
