"""Programs that try to run for ever, to use all memory or to block the event loop: name -> code.

Each is the body of a function; it has to end, by itself or because it is stopped, within the limits of
docs/sandbox.md. None may print "escaped". `bench/sandbox_bench.py` measures how long each holds up the loop.
"""

from __future__ import annotations

LOOP = "while true do end"
CLOSER = f"local x <close> = setmetatable({{}}, {{__close = function() {LOOP} end}})"
DEEP = "local function f() return 1 + f() end f()"

#: Ways around the limits.
ESCAPES = {
    "loop": LOOP,
    "pcall": f"pcall(function() {LOOP} end) print('escaped')",
    "pcall loop": f"while true do pcall(function() {LOOP} end) end",
    "nested pcall": f"for i = 1, 50 do pcall(pcall, pcall, function() {LOOP} end) end print('escaped')",
    "xpcall": f"xpcall(function() {LOOP} end, function(e) {LOOP} end) print('escaped')",
    "xpcall handler": f"xpcall(error, function(e) {LOOP} end) print('escaped')",
    "coroutine": f"coroutine.resume(coroutine.create(function() {LOOP} end)) print('escaped')",
    "coroutine pcall": f"pcall(coroutine.wrap(function() pcall(function() {LOOP} end) end)) print('escaped')",
    "many coroutines": "while true do coroutine.wrap(function() for i = 1, 300 do end end)() end",
    "nested coroutines": (
        "local function f() local co = coroutine.wrap(f) for i = 1, 900 do end pcall(co) end "
        "while true do pcall(f) end"
    ),
    "coroutine.close": (
        f"local co = coroutine.create(function() {CLOSER} "
        "coroutine.yield() end) coroutine.resume(co) coroutine.close(co) print('escaped')"
    ),
    "close of a killed coroutine": (
        f"local co = coroutine.create(function() {CLOSER} "
        f"{LOOP} end) coroutine.resume(co) coroutine.close(co) print('escaped')"
    ),
    "wrap's close": (f"pcall(coroutine.wrap(function() {CLOSER} {LOOP} end)) print('escaped')"),
    "close on error": (f"pcall(function() {CLOSER} error('x') end) print('escaped')"),
    "metamethod": f"local t = setmetatable({{}}, {{__index = function() {LOOP} end}}) "
    "pcall(function() return t.x end) print('escaped')",
    "tostring": f"pcall(tostring, setmetatable({{}}, {{__tostring = function() {LOOP} end}})) print('escaped')",
    "tostring of an error": f"error(setmetatable({{}}, {{__tostring = function() {LOOP} end}}))",
    "sort comparison": f"pcall(table.sort, {{3, 2, 1}}, function() {LOOP} end) print('escaped')",
    "gsub callback": f"pcall(string.gsub, 'x', 'x', function() {LOOP} end) print('escaped')",
    "gsub recursion": "local function f() return (('x'):gsub('x', f)) end pcall(f) while true do pcall(f) end",
    "for iterator": "for _ in function() return 1 end do end",
    "goto": "::again:: goto again",
    "tail calls": "local function f() return f() end f()",
    "recursion": "local function f() return 1 + f() end while true do pcall(f) end",
    "spawned": f"coroutine.spawn(function() pcall(function() {LOOP} end) end)",
    "pairs": f"for k in pairs(setmetatable({{}}, {{__pairs = function() {LOOP} end}})) do end",
    "doubling": "local s = 'x' while true do s = s .. s end",
    "rep of rep": "local s = ('x'):rep(1 << 20) local t = {} while true do t[#t + 1] = s:rep(8) end",
    "empty rep": "while true do (''):rep(1 << 31, '') end",
    "huge rep": "while true do pcall(string.rep, 'x', 1 << 40) end",
    "closures kept": "local t = {} while true do t[#t + 1] = function() return t end end",
    "channels kept": "local t = {} while true do t[#t + 1] = channel.new(0) end",
    "concat of many": "local t = {} for i = 1, 1e5 do t[i] = 'xxxxxxxxxx' end while true do table.concat(t) end",
    "move": "while true do pcall(table.move, {}, 1, 1 << 29, 2) end",
    "move far": "while true do pcall(table.move, {}, 1, math.maxinteger - 1, 2) end",
    "insert with a lying length": (
        "local t = setmetatable({}, {__len = function() return 1 << 60 end}) table.insert(t, 1, 2)"
    ),
    "insert with a changing length": (
        "local n = 0 local t = setmetatable({}, {__len = function() n = n + 1 return n == 1 and 5 or 1 << 60 end}) "
        "while true do pcall(table.insert, t, 1, 2) end"
    ),
    "remove with a lying length": (
        "local t = setmetatable({}, {__len = function() return 1 << 60 end}) table.remove(t, 1)"
    ),
    "concat of a proxy": (
        "table.concat(setmetatable({}, {__index = getmetatable, __metatable = '', "
        "__len = function() return 1 << 60 end}))"
    ),
    "move through proxies": "table.move(setmetatable({}, {__index = rawequal}), 1, 1 << 29, 1, setmetatable({}, {}))",
    "unpack": "while true do pcall(table.unpack, {}, 1, 900000) end",
    "sort with a lying length": "table.sort(setmetatable({}, {__len = function() return 1 << 60 end}), print)",
    "backtracking": "string.find(('a'):rep(30) .. 'b', ('a-'):rep(14) .. 'c')",
    "backtracking options": "string.find(('a'):rep(28), ('a?'):rep(28) .. ('a'):rep(28) .. 'b')",
    "backtracking in pcall": "while true do pcall(string.match, ('a'):rep(200), ('a*'):rep(20) .. 'b') end",
    "backtracking gsub": "string.gsub(('a'):rep(300), ('a-'):rep(8) .. 'b', '')",
    "backtracking gmatch": "for x in string.gmatch(('a'):rep(300), ('.-'):rep(8) .. 'b') do end",
    "quadratic search": "while true do string.find(('a'):rep(1 << 16), '.-b') end",
    "plain search": "local s = ('a'):rep(1 << 20) "
    "while true do pcall(string.find, s, ('a'):rep(1 << 19) .. 'b', 1, true) end",
    "balance": "while true do string.find(('('):rep(1 << 16), '%b()') end",
    "upper": "local s = ('a'):rep(1 << 20) while true do s:upper() end",
    "utf8": "local s = ('a'):rep(1 << 20) while true do utf8.len(s) end",
    "pack": "while true do string.pack('c1000000', '') end",
    "call chain": "local t = {} setmetatable(t, {__call = t}) t()",
    "deep parser input is data": "print(#('('):rep(1e5) > 0 and 'safe')",
    "index chain": "local t = {} setmetatable(t, {__index = t}) "
    "print(pcall(function() return t.x end) and 'x' or 'safe')",
}

#: Handlers and closers, which must not run where no hook does; ways to run out of stack.
HANDLERS = {
    "handler at the end of the C stack": (
        "local function deep() xpcall(function() for i = 1, 3000 do end end, function() while true do end end) "
        "pcall(deep) end pcall(deep)"
    ),
    "handler that errs": "while true do xpcall(error, function(e) error(e) end) end",
    "handler of a handler": f"xpcall(function() xpcall(error, function() {LOOP} end) end, function() {LOOP} end)",
    "handler of a stack overflow": f"xpcall(function() {DEEP} end, function() {LOOP} end) print('escaped')",
    "handler of a C stack overflow": (
        f"local function f() return pcall(f) end xpcall(f, function() {LOOP} end) {LOOP} print('escaped')"
    ),
    "handler at each depth": (
        f"local function f(n) xpcall(f, function() {LOOP} end, n + 1) for i = 1, 1e4 do end end f(1) print('escaped')"
    ),
    "handler in coroutines": (
        f"local function f() xpcall(coroutine.wrap(f), function() {LOOP} end) for i = 1, 3000 do end end f()"
    ),
    "loop at the end of the C stack": f"local function f() pcall(f) {LOOP} end pcall(f) print('escaped')",
    "loop at the end of the coroutines": f"local function f() pcall(coroutine.wrap(f)) {LOOP} end f() print('escaped')",
    "loop in a callback at the end": f"local function f() pcall(string.gsub, 'x', 'x', f) {LOOP} end f() print('escaped')",
    "loop in a metamethod at the end": (
        f"local t t = setmetatable({{}}, {{__index = function() pcall(function() return t.x end) {LOOP} end}}) "
        "local _ = t.x print('escaped')"
    ),
    "closer of an overflown coroutine": (
        f"for i = 1, 200 do local co = coroutine.create(function() {CLOSER} {DEEP} end) "
        "coroutine.resume(co) coroutine.close(co) end"
    ),
    "closer of an overflown wrap": f"for i = 1, 200 do pcall(coroutine.wrap(function() {CLOSER} {DEEP} end)) end",
    "closer of a deep coroutine": (
        f"local function f() local co = coroutine.create(function() {CLOSER} pcall(f) coroutine.yield() end) "
        "coroutine.resume(co) coroutine.close(co) end pcall(f)"
    ),
    "closer at the end of the C stack": (
        f"local function f() {CLOSER} pcall(f) error('x') end pcall(f) print('escaped')"
    ),
    "closers without end": (
        "local mt = {} mt.__close = function() local y <close> = setmetatable({}, mt) end "
        "local x <close> = setmetatable({}, mt)"
    ),
    "closers that err": (
        "local function f() local x <close> = setmetatable({}, {__close = function() error('c') end}) f() end "
        "while true do pcall(f) end"
    ),
    "closer of a killed loop": f"local function f() {CLOSER} {LOOP} end pcall(f) print('escaped')",
    "closer of a suspended coroutine": (
        f"local co = coroutine.wrap(function() {CLOSER} coroutine.yield() end) co() co() print('escaped')"
    ),
    "coroutine closed in a closer": (
        f"local co = coroutine.create(function() {CLOSER} coroutine.yield() end) coroutine.resume(co) "
        "local x <close> = setmetatable({}, {__close = function() coroutine.close(co) end}) error('x')"
    ),
    "for closer": f"for i in next, {{1}}, nil, setmetatable({{}}, {{__close = function() {LOOP} end}}) do break end",
    "overflow again and again": f"while true do pcall(function() {DEEP} end) end",
    "overflow in coroutines": f"while true do coroutine.resume(coroutine.create(function() {DEEP} end)) end",
    "deep varargs": "local function f(...) return f(1, ...) end while true do pcall(f) end",
    "tostring of itself": (
        "local t = setmetatable({}, {}) getmetatable(t).__tostring = function(s) return tostring(s) end "
        "while true do pcall(tostring, t) end"
    ),
    "tostring without end": "local f f = function() tostring(setmetatable({}, {__tostring = f})) end f()",
    "closers of a full stack": (
        "local function f() local x <close> = setmetatable({}, {__close = function() error('c') end}) f() end f()"
    ),
    "error of a text that grows as JSON": "error(('\\27[31m'):rep(3e6))",
    "error that gives a large text": "error(setmetatable({}, {__tostring = function() return ('\\1'):rep(4 << 20) end}))",
    "concat of itself": (
        "local t = setmetatable({}, {__concat = function(a, b) return a .. b end}) while true do pcall(function() "
        "return t .. t end) end"
    ),
    "less than itself": (
        "local t = setmetatable({}, {__lt = function(a, b) return a < b end}) while true do pcall(function() "
        "return t < t end) end"
    ),
}

#: Metamethods, including those added after `setmetatable`.
METAMETHODS = {
    "call put in later": "local m = {} local t = setmetatable({}, m) m.__call = t t()",
    "call put in by a computed key": "local m = {} local t = setmetatable({}, m) m['__' .. 'call'] = t t()",
    "call put in by rawset": "local m = {} local t = setmetatable({}, m) rawset(m, '__call', t) t()",
    "call replaced": "local m = {__call = print} local t = setmetatable({}, m) m.__call = t t()",
    "call replaced by a key": "local m = {__call = print} local t = setmetatable({}, m) for k in pairs(m) do m[k] = t end t()",
    "call through a global": "_G.__call = setmetatable({}, _G) __call()",
    "call through another": (
        "local a, b = {}, {} local t, u = setmetatable({}, a), setmetatable({}, b) a.__call = u b.__call = t t()"
    ),
    "call by newindex": (
        "local m = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, v) end}) "
        "local t = setmetatable({}, m) m.__call = t t()"
    ),
    "call by a table as newindex": (
        "local m = {} local t = setmetatable({}, m) setmetatable({}, {__newindex = m}).__call = t t()"
    ),
    "call by a chain of newindex": (
        "local m = {} local t, p = setmetatable({}, m), m for i = 1, 9 do p = setmetatable({}, {__newindex = p}) end "
        "p['__' .. 'call'] = t t()"
    ),
    "call by multiple assignment": "local m = {} local t = setmetatable({}, m) m.__call, m.x = t, 1 t()",
    "call as an iterator": "local m = {} local t = setmetatable({}, m) m.__call = t for _ in t do end",
    "call as a method": "local m = {} local t = setmetatable({}, m) m.__index = t m.__call = t t:x()",
    "call as an index": "local m = {} local t = setmetatable({}, m) m.__index = t local x = t.y m.__call = t t.y()",
    "call as an operator": "local m = {} local t = setmetatable({}, m) m.__add = t m.__call = t local x = t + 1",
    "call as a comparison": "local m = {} local t = setmetatable({}, m) m.__lt = t m.__call = t local x = t < t",
    "call as a closer": (
        "local m = {} local t = setmetatable({}, m) m.__close = t m.__call = t do local x <close> = t end"
    ),
    "call by table.move": "local m = {} local t = setmetatable({}, m) table.move({t}, 1, 1, 1, m) m.__call = m[1] t()",
    "call in a closure": (
        "local m = {} local t = setmetatable({}, m) local function set(k, v) m[k] = v end set('__call', t) t()"
    ),
    "call in a coroutine": (
        "local m = {} local t = setmetatable({}, m) coroutine.wrap(function() m.__call = t end)() t()"
    ),
    "weak keys put in later": "local m = {} local t = setmetatable({}, m) m.__mode = 'k' print('escaped')",
    "weak keys in a chain": (
        "local w, keys = setmetatable({}, {__mode = 'k'}), {} for i = 1, 40000 do keys[i] = {} end "
        "for i = 40000, 2, -1 do local j = math.random(i) keys[i], keys[j] = keys[j], keys[i] end "
        "for i = 1, 39999 do w[keys[i]] = keys[i + 1] end local first = keys[1] keys = nil "
        "while true do local garbage = {} end"
    ),
    "long index chain": (
        "local t = {} for i = 1, 1900 do t = setmetatable({}, {__index = t}) end while true do local x = t.missing end"
    ),
    "long newindex chain": (
        "local t = {} for i = 1, 1900 do t = setmetatable({}, {__newindex = t}) end while true do t.missing = 1 end"
    ),
    "index chain with long keys": (
        "local key = ('k'):rep(1e5) local t = {} for i = 1, 1900 do t = setmetatable({[key] = nil}, {__index = t}) end "
        "while true do local x = t[key] end"
    ),
    "index that never ends": "local t t = setmetatable({}, {__index = function(_, k) return t[k .. 'x'] end}) print(t.x)",
    "len that lies": "local t = setmetatable({}, {__len = function() return 1 << 62 end}) while true do pcall(table.concat, t) end",
    "len of a float": "table.concat(setmetatable({}, {__len = function() return 1e300 end}))",
    "ipairs without end": "for _ in ipairs(setmetatable({}, {__index = function(_, i) return i end})) do end",
    "pairs without end": "for _ in pairs(setmetatable({}, {__pairs = function() return function() return 1 end end})) do end",
    "eq without end": f"local m = {{__eq = function() {LOOP} end}} print(setmetatable({{}}, m) == setmetatable({{}}, m))",
    "unm of a chain": "local t = setmetatable({}, {__unm = function(a) return -a end}) while true do pcall(function() return -t end) end",
    "name that is large": "local t = setmetatable({}, {__name = ('n'):rep(16 << 20)}) while true do pcall(tostring, t) end",
}

#: Operators and functions of Lua whose work grows with a text.
TEXTS = {
    "equal texts": "local s = ('x'):rep(8 << 20) local a, b = s .. 'a', s .. 'b' while true do local c = a == b end",
    "joined equal texts": (
        "local s = 'x' for i = 1, 22 do s = s .. s end local a, b = s .. 'a', s .. 'b' while true do local c = a == b end"
    ),
    "texts of zeros": "local s = ('\\0'):rep(16 << 20) while true do local c = s < s end",
    "joined texts of zeros": "local s = '\\0' for i = 1, 24 do s = s .. s end while true do local c = s < s end",
    "middling texts of zeros": "local s = '\\0' for i = 1, 15 do s = s .. s end while true do local c = s < s end",
    "packed texts of zeros": "local s = string.pack('c1000000', '') while true do local c = s <= s end",
    "texts of zeros at once": (
        "local s = '\\0' for i = 1, 20 do s = s .. s end local c = s<s c = s<s c = s<s c = s<s c = s<s c = s<s "
        "while true do c = s<s c = s<s c = s<s c = s<s c = s<s c = s<s c = s<s c = s<s c = s<s c = s<s c = s<s end"
    ),
    "zeros in a prepared coroutine": (
        "local s local co = coroutine.wrap(function() while true do coroutine.yield() for i = 1, 300 do local c = s < s end "
        "end end) co() s = ('\\0'):rep(1 << 20) while true do co() end"
    ),
    "zeros in many coroutines": (
        "local s = ('\\0'):rep(1 << 20) while true do coroutine.wrap(function() for i = 1, 3 do local c = s < s end end)() end"
    ),
    "joins": "local s = '' while true do s = s .. 'x' end",
    "long joins": "local s = ('x'):rep(8 << 20) while true do local t = s .. 'x' end",
    "joins of many": "local s = ('x'):rep(1 << 20) while true do local t = s .. s .. s .. s .. s .. s .. s .. s end",
    "joins in pcall": "while true do pcall(function() local s = 'x' while true do s = s .. s end end) end",
    "sub": "local s = ('x'):rep(16 << 20) while true do local c = s:sub(2) end",
    "sub of joined": "local s = 'x' for i = 1, 24 do s = s .. s end while true do local c = s:sub(2) end",
    "long keys": "local s = ('x'):rep(4 << 20) local t = {} while true do t[s .. 'y'] = nil end",
    "tonumber": "local s = ('1'):rep(8 << 20) while true do tonumber(s) end",
    "tonumber with a base": "local s = ('z'):rep(8 << 20) while true do tonumber(s, 36) end",
    "tonumber of spaces": "local s = (' '):rep(8 << 20) .. '1' while true do tonumber(s) end",
    "tonumber of hexadecimal": "local s = '0x' .. ('f'):rep(8 << 20) while true do tonumber(s) end",
    "arithmetic of texts": "local s = (' '):rep(8 << 20) .. '1' while true do local x = s + 1 end",
    "arithmetic of joined texts": "local s = ' ' for i = 1, 20 do s = s .. s end s = s .. '1' while true do local x = s * 2 end",
    "arithmetic of digits": "local s = ('1'):rep(8 << 20) while true do local x = s + 1 end",
    "arithmetic of some digits": "local s = ('1'):rep(1 << 19) while true do local x = s + 1 end",
    "division of a fraction": "local s = '.' .. ('3'):rep(1 << 20) while true do local x = s / 2 end",
    "negation of a text": "local s = (' '):rep(8 << 20) .. '1' while true do local x = -s end",
    "packsize": "local f = ('i4'):rep(4 << 20) while true do string.packsize(f) end",
    "packsize in pcall": "local f = ('i4'):rep(1000) while true do pcall(string.packsize, f) end",
    "pack of padding": "while true do pcall(string.pack, 'c2147483647', '') end",
    "pack of much padding": "while true do pcall(string.pack, ('c16000000'):rep(100), '') end",
    "pack of many": "local f = ('b'):rep(4000) while true do pcall(string.pack, f) end",
    "unpack of many": "local s, f = ('x'):rep(1 << 20), ('b'):rep(1 << 20) while true do pcall(string.unpack, f, s) end",
    "unpack of text": "local s = string.pack('s4', ('x'):rep(8 << 20)) while true do string.unpack('s4', s) end",
    "unpack of zero-ended text": "local s = ('x'):rep(8 << 20) .. '\\0' while true do string.unpack('z', s) end",
    "bytes": "local s = ('x'):rep(900000) while true do pcall(string.byte, s, 1, -1) end",
    "some bytes": "local s = ('x'):rep(60000) while true do string.byte(s, 1, -1) end",
    "char": "local t = {string.byte(('x'):rep(60000), 1, -1)} while true do string.char(table.unpack(t)) end",
    "codepoints": "local s = ('x'):rep(900000) while true do pcall(utf8.codepoint, s, 1, -1) end",
    "some codepoints": "local s = ('x'):rep(60000) while true do utf8.codepoint(s, 1, -1) end",
    "offset": "local s = ('x'):rep(16 << 20) while true do utf8.offset(s, -1, #s) utf8.offset(s, 16000000) end",
    "utf8.len": "local s = ('x'):rep(16 << 20) while true do utf8.len(s) end",
    "utf8.codes": "local s = 'a' .. ('\\x80'):rep(8 << 20) while true do pcall(function() for _ in utf8.codes(s, true) do end end) end",
    "lower": "local s = ('X'):rep(16 << 20) while true do s:lower() end",
    "reverse": "local s = ('X'):rep(16 << 20) while true do s:reverse() end",
    "format of a text": "local s = ('X'):rep(8 << 20) while true do ('%s'):format(s) end",
    "quoted format": "local s = ('\\0'):rep(4 << 20) while true do ('%q'):format(s) end",
    "format of many": "local f = ('%s'):rep(250) local s = ('x'):rep(50000) while true do pcall(string.format, f, s) end",
    "long format": "local f = ('x'):rep(16 << 20) while true do pcall(string.format, f) end",
    "format of percent signs": "local f = ('%'):rep(1 << 20) while true do pcall(string.format, f, 1) end",
    "many formats": "local i = 0 while true do i = i + 1 string.format(('x'):rep(900) .. i) end",
    "rep of zeros": "while true do pcall(string.rep, '\\0', 16 << 20) end",
    "rep with a separator": "while true do pcall(string.rep, '', 16 << 20, 'x') end",
    "rep of a long text": "local s = ('x'):rep(1 << 20) while true do s:rep(16) end",
    "date": "local f = ('%c'):rep(2000) while true do os.date(f) end",
    "date of far times": "while true do for i = 1, 1e6 do os.date('%c', i * 1e9 // 1 | 0) end end",
    "time of far dates": "while true do os.time({year = 2000, month = 2147483647, day = 2147483647}) end",
    "print of a text": "local s = ('x'):rep(1 << 20) while true do print(#tostring(s)) end",
    "compare in a sort": (
        "local s = ('\\0'):rep(20000) local t = {} for i = 1, 2000 do t[i] = s .. i end while true do table.sort(t) end"
    ),
    "sort of long texts": (
        "local s = ('x'):rep(20000) local t = {} for i = 1, 2000 do t[i] = s .. i end while true do table.sort(t) end"
    ),
}

#: Patterns.
PATTERNS = {
    "a long set": "while true do pcall(string.find, ('a'):rep(4000), '[' .. ('b'):rep(4e5) .. ']') end",
    "a set of the limit": "local p = '[' .. ('b'):rep(4000) .. ']' while true do pcall(string.find, ('a'):rep(1e6), p) end",
    "a repeated set": "local p = '[' .. ('b'):rep(3000) .. 'a]*c' while true do pcall(string.find, ('a'):rep(4000), p) end",
    "a long frontier": "local p = '%f[' .. ('b'):rep(4000) .. ']' while true do pcall(string.find, ('a'):rep(1e6), p) end",
    "a long literal": "local p = ('a'):rep(4000) .. '[b]' while true do pcall(string.find, ('a'):rep(1e5), p) end",
    "a literal after a loop": "local p = '.-' .. ('a'):rep(4000) .. '[b]' while true do pcall(string.find, ('a'):rep(5000), p) end",
    "dots": "local p = ('.'):rep(4000) .. 'b' while true do pcall(string.find, ('a'):rep(1e5), p) end",
    "classes": "local p = ('%w'):rep(2000) .. '%d' while true do pcall(string.match, ('a'):rep(1e5), p) end",
    "loops": "while true do pcall(string.find, ('a'):rep(3000), ('a*'):rep(9) .. 'b') end",
    "lazy loops": "while true do pcall(string.find, ('a'):rep(3000), ('.-'):rep(9) .. 'b') end",
    "anchored loops": "while true do pcall(string.find, ('a'):rep(30000), '^.-.-.-b') end",
    "options": "while true do pcall(string.find, ('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40) .. 'b') end",
    "captures": "while true do pcall(string.find, ('a'):rep(3000), ('(.-)'):rep(8) .. 'b') end",
    "back reference": "while true do pcall(string.find, ('a'):rep(5000), '(.+)%1b') end",
    "many balances": "while true do pcall(string.find, ('('):rep(1 << 18), '%b()') end",
    "balances in gsub": "while true do pcall(string.gsub, ('('):rep(1 << 18), '%b()', '') end",
    "gsub that grows": "while true do pcall(string.gsub, ('a'):rep(1e5), 'a', ('b'):rep(1e5)) end",
    "gsub with a long template": "local r = ('%1'):rep(50000) while true do pcall(string.gsub, ('a'):rep(1e5), '(b*)', r) end",
    "gsub with percent signs": "local r = ('%%'):rep(500000) while true do pcall(string.gsub, ('a'):rep(1e5), '', r) end",
    "gsub by a table": f"pcall(string.gsub, ('a'):rep(1e6), 'a', setmetatable({{}}, {{__index = function() {LOOP} end}}))",
    "gsub by a function": "while true do ('a'):rep(1e6):gsub('a', function() end) end",
    "gsub with a limit": "while true do pcall(string.gsub, ('a'):rep(1e6), '.-b', '', 1) end",
    "gmatch": "while true do for x in ('a'):rep(1e5):gmatch('.-b') do end end",
    "gmatch of everything": "while true do for x in ('a'):rep(1e6):gmatch('') do end end",
    "gmatch from the end": "local s = ('a'):rep(1e6) while true do for x in s:gmatch('.-b', 900000) do end end",
    "trim": "local s = (' '):rep(1e5) .. 'x' .. (' '):rep(1e5) while true do local x = s:match('^%s*(.-)%s*$') end",
    "line ends": "local s = (' '):rep(1e5) .. '\\n!' while true do local x = s:match('[^\\n]*$') end",
    "plain": "local s = ('a'):rep(1 << 22) while true do pcall(string.find, s, ('a'):rep(1 << 16) .. 'b', 1, true) end",
    "plain of the limit": "local s, p = ('a'):rep(16 << 20), ('a'):rep(16000) .. 'b' while true do s:find(p, 1, true) end",
    "plain by itself": "local s, p = ('a'):rep(16 << 20), ('a'):rep(3000) .. 'b' while true do s:find(p) end",
    "many patterns": "local i = 0 while true do i = i + 1 pcall(string.find, 'x', ('a'):rep(4000) .. i .. '[x]') end",
    "malformed": "local p = ('['):rep(4000) while true do pcall(string.find, ('a'):rep(1e5), p) end",
    "quick ones": "local s = ('a'):rep(300) while true do local x = s:find('.-b') x = s:find('.-b') x = s:find('.-b') end",
    "a number for a text": "while true do string.find(1e308, '.-.-.-.-b') end",
}

#: Tables and calls.
TABLES = {
    "next of a table that was emptied": (
        "local t = {} for i = 1, 1e6 do t[i] = i end for i = 1, 1e6 do t[i] = nil end while true do next(t) end"
    ),
    "next of a map that was emptied": (
        "local t = {} for i = 1, 2e5 do t['k' .. i] = i end for k in pairs(t) do t[k] = nil end while true do next(t) end"
    ),
    "next in pcall": "local t = {} for i = 1, 5e5 do t[i] = i end for i = 1, 5e5 do t[i] = nil end while true do pcall(next, t) end",
    "pairs of what was emptied": (
        "local t = {} for i = 1, 5e5 do t[i] = i end for i = 1, 5e5 do t[i] = nil end "
        "while true do for _ in pairs(t) do end end"
    ),
    "pairs of many": "local t = {} for i = 1, 1e5 do t['k' .. i] = i end while true do for _ in pairs(t) do break end end",
    "pairs of long keys": (
        "local s, t = ('\\0'):rep(20000), {} for i = 1, 500 do t[s .. i] = i end while true do for _ in pairs(t) do break end end"
    ),
    "unpack": "local t = {} while true do pcall(table.unpack, t, 1, 900000) end",
    "unpack of the limit": "local t = {} while true do local n = select('#', table.unpack(t, 1, 65000)) end",
    "unpack far": "while true do pcall(table.unpack, {}, math.mininteger, math.maxinteger) end",
    "varargs": "local function f(...) while true do local n = select('#', ...) end end f(table.unpack({}, 1, 65000))",
    "select from varargs": "local function f(...) while true do local x = select(2, ...) end end f(table.unpack({}, 1, 65000))",
    "pack of varargs": "local function f(...) while true do local t = {...} end end f(table.unpack({}, 1, 65000))",
    "packs of what is unpacked": "while true do local t = table.pack(table.unpack({}, 1, 65000)) end",
    "pcall of varargs": "local function f(...) while true do pcall(select, 1, ...) end end f(table.unpack({}, 1, 65000))",
    "resume with varargs": (
        "local co = coroutine.wrap(function(...) while true do coroutine.yield(...) end end) "
        "local function f(...) while true do co(...) end end f(table.unpack({}, 1, 65000))"
    ),
    "insert at the front": "local t = {} while true do table.insert(t, 1, 1) end",
    "remove at the front": "local t = {} for i = 1, 1e6 do t[i] = 1 end while true do table.remove(t, 1) end",
    "concat of floats": "local t = {} for i = 1, 5e5 do t[i] = i / 3 end while true do table.concat(t, ',') end",
    "concat of long texts": "local s, t = ('x'):rep(1 << 20), {} for i = 1, 90 do t[i] = s end while true do pcall(table.concat, t) end",
    "concat with a long separator": "local s, t = ('x'):rep(1 << 20), {} for i = 1, 90 do t[i] = 1 end while true do pcall(table.concat, t, s) end",
    "concat of a range": "while true do pcall(table.concat, {}, '', 1, 1 << 40) end",
    "move": "while true do pcall(table.move, {}, 1, 1 << 24, 2) end",
    "move to itself": "local t = {} for i = 1, 1e6 do t[i] = i end while true do table.move(t, 1, #t, 2) end",
    "sort": "local t = {} for i = 1, 1e6 do t[i] = i * 7919 % 1e6 // 1 end while true do table.sort(t) end",
    "sort by a function": "local t = {} for i = 1, 1e5 do t[i] = i end while true do table.sort(t, function() return true end) end",
    "growing a table": "local t = {} while true do t[#t + 1] = {} end",
    "growing a map": "local t = {} while true do t[{}] = true end",
    "growing in pcall": "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) end",
    "garbage": "while true do local t = {{}, {}, {}} end",
    "garbage beside much": "local t = {} for i = 1, 3e5 do t[i] = {} end while true do local x = {{}, {}} end",
    "closures": "while true do local f = function() return f end end",
    "coroutines": "while true do coroutine.wrap(function() end)() end",
    "coroutines kept": "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
    "spawned coroutines": "while true do coroutine.spawn(function() end) end",
    "spawning from the spawned": "local function f() coroutine.spawn(f) coroutine.spawn(f) end f()",
    "yields": "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
    "select of many": "local c, t = channel.new(0):case_receive(), {} for i = 1, 1e6 do t[i] = c end while true do channel.select(t) end",
    "select in a loop": "local c = channel.new(1) while true do channel.select({c:case_send(1), c:case_receive(), default = true}) end",
    "channels that wake": (
        "local c = channel.new(0) coroutine.spawn(function() while true do c:send(1) end end) while true do c:receive() end"
    ),
    "a full channel": "local c = channel.new(1 << 40) while true do c:send({}) end",
    "wrapped errors": "local e = errors.new('x') while true do e = errors.wrap(e, tostring(e)) end",
    "joined errors": "local e = errors.new(('x'):rep(4 << 20)) while true do local s = e .. e end",
    "details of errors": "local d = {} for i = 1, 1e5 do d[i] = i end while true do local e = errors.new({message = 'x', details = d}) end",
    "raised errors": "while true do pcall(error, ('x'):rep(1000)) end",
    "tracebacks": "local function f(n) if n == 0 then while true do errors.new('x') end end f(n - 1) return 1 end f(150)",
    "handlers with tracebacks": (
        "local function f(n) if n == 0 then while true do xpcall(error, function() end) end end f(n - 1) return 1 end f(150)"
    ),
}

ATTACKS = {
    f"{kind}: {name}": code
    for kind, cases in (
        ("escapes", ESCAPES),
        ("handlers", HANDLERS),
        ("metamethods", METAMETHODS),
        ("texts", TEXTS),
        ("patterns", PATTERNS),
        ("tables", TABLES),
    )
    for name, code in cases.items()
}

#: Programs that use more than a third of the default budget before they attack.
PREPARED = {
    "metamethods: name that is large",
    "metamethods: weak keys in a chain",
    *(
        f"texts: {name}"
        for name in ("equal texts", "texts of zeros", "sub", "arithmetic of texts", "lower", "reverse")
    ),
    *(
        f"texts: {name}"
        for name in ("unpack of zero-ended text", "utf8.len", "utf8.codes", "compare in a sort")
    ),
    *(f"patterns: {name}" for name in ("plain of the limit", "plain by itself")),
    *(f"tables: next of a {name} that was emptied" for name in ("table", "map")),
    *(f"tables: {name}" for name in ("pairs of many", "sort", "garbage beside much")),
}
