"""More programs like those of attacks.py, of the same kinds in other words."""

from __future__ import annotations

LOOP = "while true do end"
CLOSER = f"local x <close> = setmetatable({{}}, {{__close = function() {LOOP} end}})"
EMPTIED = "local t = {} for i = 1, 2e6 do t[i] = i end for i = 1, 2e6 do t[i] = nil end"
FULL = "local t = {} for i = 1, (1 << 18) - 1 do t['k' .. i] = i end"

HANDLERS = {
    "handler that recurses through xpcall": (
        "local function h(e) return select(2, xpcall(error, h, e)) end while true do xpcall(error, h, 'x') end"
    ),
    "handler that resumes": (
        f"local co = coroutine.create(function() coroutine.yield() {LOOP} end) coroutine.resume(co) "
        "xpcall(error, function() coroutine.resume(co) end) print('escaped')"
    ),
    "error in the tostring of an error": (
        "local e = setmetatable({}, {__tostring = function(s) error(s) end}) error(e)"
    ),
    "nested error objects": (
        "local e = 'x' for i = 1, 1e5 do e = errors.wrap(errors.new({message = 'm', details = {e = e}}), 'c') end error(e)"
    ),
    "error that is a deep table": "local t = {} for i = 1, 1e5 do t = {message = t} end error(t)",
    "error with a huge kind": "error(errors.new(('k'):rep(16 << 20), ('m'):rep(16 << 20)))",
    "error of control characters": "error(errors.new({message = ('\\27'):rep(8 << 20), kind = ('\\1'):rep(4 << 20)}))",
    "error of broken utf-8": "error(('\\xe2\\x80'):rep(4 << 20))",
    "error with a level": "while true do pcall(error, 'x', 1 << 60) pcall(error, 'x', math.mininteger) end",
    "wrap that closes itself": (
        "local co co = coroutine.create(function() local x <close> = setmetatable({}, "
        "{__close = function() pcall(coroutine.close, co) while true do end end}) error('x') end) "
        "coroutine.resume(co) coroutine.close(co) print('escaped')"
    ),
    "closer that yields for ever": (
        "local co = coroutine.wrap(function() local x <close> = setmetatable({}, "
        "{__close = function() while true do coroutine.yield() end end}) end) while true do co() end"
    ),
    "many closers": (
        "while true do pcall(function() " + "local x <close> = setmetatable({}, {__close = function() error('y') end}) " * 150
        + "error('x') end) end"
    ),
    "closer of a chain of coroutines": (
        f"local function nest(n) local co = coroutine.create(function() {CLOSER} "
        "if n > 0 then nest(n - 1) end coroutine.yield() end) coroutine.resume(co) coroutine.close(co) end "
        "nest(150) print('escaped')"
    ),
    "pcalls nested by errors": "local function f() pcall(error) pcall(f) end f()",
    "overflow in a sort": "local function f(a, b) table.sort({2, 1, 3}, f) return true end while true do pcall(f) end",
    "overflow in gsub": "local function f() return (('x'):gsub('.', f)) end xpcall(f, function() while true do end end) print('escaped')",
    "overflow through pairs": (
        "local t t = setmetatable({}, {__pairs = function() for _ in pairs(t) do end end}) while true do pcall(pairs, t) end"
    ),
    "overflow through require": "local function f() pcall(require, 'json') f() end while true do pcall(f) end",
    "wide recursion": "local function f(a) return pcall(f, a) or pcall(f, a) end while true do pcall(f, 1) end",
}

METAMETHODS = {
    "gc put in later": "local m = {} local t = setmetatable({}, m) m.__gc = function() while true do end end t = nil for i = 1, 1e6 do local x = {} end print('harmless')",
    "len of itself": "local m = {} local t = setmetatable({}, m) m.__len = function(s) return #s end while true do pcall(function() return #t end) end",
    "concat put in later": "local m = {} local t = setmetatable({}, m) m.__concat = function(a, b) return ('x'):rep(1 << 20) end while true do local s = t .. 'a' .. t .. 'b' .. t end",
    "eq put in later": "local m = {} local a, b = setmetatable({}, m), setmetatable({}, m) m.__eq = function(x, y) return x == y end while true do pcall(function() return a == b end) end",
    "newindex put in later": "local m = {} local t = setmetatable({}, m) m.__newindex = function(s, k, v) s[k .. 'x'] = v end while true do pcall(function() t.a = 1 end) end",
    "index and newindex of each other": (
        "local a, b = {}, {} setmetatable(a, {__index = b, __newindex = b}) setmetatable(b, {__index = a, __newindex = a}) "
        "while true do pcall(function() return a.x end) pcall(function() a.x = 1 end) end"
    ),
    "a loop of newindex and a call": "local a, b = {}, {} setmetatable(a, {__newindex = b}) setmetatable(b, {__newindex = a}) while true do pcall(function() a['__' .. 'call'] = a end) end",
    "name that grows": "local m = {__name = 'x'} local t = setmetatable({}, m) while true do m.__name = m.__name .. m.__name pcall(tostring, t) end",
    "tostring of many": "local t = setmetatable({}, {__tostring = function() return ('x'):rep(1 << 20) end}) while true do print(t, t, t, t, t, t, t, t) end",
    "close put in later": "local m = {__close = function() end} do local t <close> = setmetatable({}, m) m.__close = function() while true do end end end print('escaped')",
    "idiv of a chain": "local m = {} m.__idiv = function(a, b) return b // a end local t = setmetatable({}, m) while true do pcall(function() return t // t end) end",
    "string methods replaced": "string.rep = string.rep local s = 'x' string.gsub = function() while true do end end s:gsub('x', 'y')",
    "le without end": "local m = {} m.__le = function(a, b) return b <= a end local t = setmetatable({}, m) while true do pcall(function() return t <= t end) end",
    "index through coroutines": "local t t = setmetatable({}, {__index = function(s, k) return coroutine.wrap(function() return s[k + 1] end)() end}) while true do pcall(function() return t[1] end) end",
}

TEXTS = {
    "rep of rep of zeros": "local s = ('\\0'):rep(1 << 22) while true do pcall(string.rep, s, 4) local x = s == s .. '' end",
    "concat of a wide row": "local s = ('x'):rep(4000) while true do local t = " + " .. ".join(["s"] * 150) + " end",
    "texts of zeros as keys": "local s = ('\\0'):rep(1 << 20) local t = {} while true do t[s .. 'a'] = 1 t[s .. 'b'] = nil end",
    "comparison by sort of zeros": "local s = ('\\0'):rep(1 << 20) local t = {s .. 'a', s .. 'b', s .. 'c', s .. 'd'} while true do table.sort(t) end",
    "comparison in a comparator": "local s = ('\\0'):rep(1 << 20) local t = {} for i = 1, 60 do t[i] = i end while true do table.sort(t, function(a, b) return s < s end) end",
    "max of texts": "local s = (' '):rep(8 << 20) .. '1' while true do math.max(s, s, s) math.floor(s) end",
    "tostring of digits": "local s = ('7'):rep(200000) while true do local x = s // 3 x = s % 3 x = s ^ 2 x = s & 1 end",
    "integer division of spaces": "local s = (' '):rep(1 << 20) .. '8' .. (' '):rep(1 << 20) while true do local x = s // 3 end",
    "for over a text": "local s = (' '):rep(8 << 20) .. '1' while true do pcall(function() for i = s, 2 do end end) end",
    "rep by a text": "while true do pcall(string.rep, 'x', (' '):rep(1 << 20) .. '16') end",
    "format of a width": "while true do pcall(string.format, '%99d%99.99f%99s', 1, 1e308, 'x') end",
    "format of many floats": "local f = ('%99.99f'):rep(1000) local t = {} for i = 1, 1000 do t[i] = 1e308 end while true do pcall(string.format, f, table.unpack(t)) end",
    "format of quotes": "local s = ('\"\\n'):rep(1 << 21) while true do pcall(string.format, '%q%q', s, s) end",
    "format of a tostring": "local t = setmetatable({}, {__tostring = function() return ('x'):rep(1 << 22) end}) while true do pcall(string.format, '%s%s%s', t, t, t) end",
    "pack of alignments": "local f = '!16' .. ('bXi16'):rep(800) while true do pcall(string.pack, f, table.unpack({}, 1, 800)) end",
    "pack of large prefixes": "local s = ('x'):rep(4 << 20) while true do pcall(string.pack, 's8s8s8', s, s, s) end",
    "unpack with a position": "local s = ('x'):rep(8 << 20) while true do pcall(string.unpack, ('z'):rep(4000), s, -1) end",
    "unpack of many small": "local s = ('\\0'):rep(4 << 20) local f = ('z'):rep(4000) while true do pcall(string.unpack, f, s) end",
    "bytes again and again": "local s = ('x'):rep(65000) while true do local t = {s:byte(1, -1)} t = {s:byte(1, -1)} end",
    "utf8.char of many": "local t = {} for i = 1, 60000 do t[i] = 0x7fffffff end while true do utf8.char(table.unpack(t)) end",
    "codes of a text": "local s = ('\\u{10ffff}'):rep(1 << 20) while true do for p, c in utf8.codes(s) do end end",
    "utf8 offset back": "local s = ('\\x80'):rep(8 << 20) while true do pcall(utf8.offset, s, -1, #s) pcall(utf8.offset, s, 0, #s) end",
    "utf8 offset of many": "local s = ('\\u{7ff}'):rep(4 << 20) while true do pcall(utf8.offset, s, 1 << 22) end",
    "reverse of reverse": "local s = ('ab'):rep(4 << 20) while true do s = s:reverse():upper():lower() end",
    "sub of zeros": "local s = ('\\0'):rep(4 << 20) while true do local x = s:sub(1, -2) < s end",
}

PATTERNS = {
    "set of ranges": "local p = '[' .. ('a-b'):rep(1300) .. ']+c' while true do pcall(string.find, ('a'):rep(20000), p) end",
    "set of classes": "local p = '[^' .. ('%d%s'):rep(1000) .. ']-%d' while true do pcall(string.match, ('a'):rep(20000), p) end",
    "frontiers in a row": "local p = ('%f[%w]'):rep(600) .. 'x' while true do pcall(string.find, ('a '):rep(1e5), p) end",
    "frontier of a set after a loop": "local p = '.-%f[' .. ('b'):rep(3000) .. ']x' while true do pcall(string.find, ('a'):rep(10000), p) end",
    "balances after a loop": "local s = ('('):rep(5000) while true do pcall(string.find, s, '.-%b()x') pcall(string.find, s, '%b()%b()') end",
    "balance of one letter": "local s = ('x'):rep(1e5) while true do pcall(string.find, s, '%bxyz') for _ in s:gmatch('%bxy') do end end",
    "back references in a row": "local s = ('a'):rep(4000) while true do pcall(string.find, s, '(a+)(a+)%1%2%1b') end",
    "back reference of a long capture": "local s = ('a'):rep(2e5) while true do pcall(string.find, s, '^(.-)%1%1$') end",
    "empty captures": "local p = ('()'):rep(32) .. '.-x' while true do pcall(string.find, ('a'):rep(20000), p) end",
    "positions in gsub": "while true do pcall(string.gsub, ('a'):rep(1e5), '()', function(i) return ('x'):rep(100) end) end",
    "gsub by a table of long texts": "local t = {a = ('x'):rep(1e5)} while true do pcall(string.gsub, ('a'):rep(1e4), 'a', t) end",
    "gsub by a function with long texts": "local s = ('x'):rep(1e5) while true do pcall(string.gsub, ('a'):rep(1e4), 'a', function() return s end) end",
    "gsub of whole captures": "while true do pcall(string.gsub, ('a'):rep(1e5), '.+', '%0%0%0%0%0%0%0%0') end",
    "gsub of captures that overlap": "while true do pcall(string.gsub, ('a'):rep(3000), '(.*)', '%1%1%1%1') end",
    "gsub of many short": "while true do local x = ('a'):rep(1 << 20):gsub('a', 'bb') end",
    "gsub of nothing": "while true do local x = ('a'):rep(1 << 20):gsub('', '') end",
    "gsub in a gsub": "local s = ('a'):rep(2000) while true do s:gsub('a', function() return (s:gsub('a', 'b')) end) end",
    "gmatch with captures": "while true do for a, b in ('a=b '):rep(1e5):gmatch('(%w+)=(%w-)%f[%s]') do end end",
    "gmatch kept": "local t = {} while true do t[#t + 1] = ('a'):rep(1e4):gmatch('.-b') t[#t]() end",
    "anchored options": "while true do pcall(string.match, ('a'):rep(60), '^' .. ('a?'):rep(60) .. ('a'):rep(60) .. '$x') end",
    "quadratic trim": "while true do pcall(string.match, (' '):rep(30000) .. 'x', '^(.-)%s*$') pcall(string.gsub, (' '):rep(30000) .. 'x', '%s+$', '') end",
    "lines": "while true do for l in (('x'):rep(1000) .. '\\n'):rep(1000):gmatch('([^\\n]*)\\n?') do end end",
    "lazy to the end": "while true do pcall(string.find, ('a'):rep(2e5), 'a.-a.-a.-b') end",
    "plain of a common prefix": "local s = ('ab'):rep(4 << 20) while true do s:find(('ab'):rep(4000) .. 'c', 1, true) end",
    "plain in zeros": "local s = ('\\0'):rep(4 << 20) while true do s:find(('\\0'):rep(8000) .. 'c', 1, true) end",
    "plain from the end": "local s = ('a'):rep(8 << 20) while true do pcall(string.find, s, ('a'):rep(16000) .. 'b', -(4 << 20), true) end",
}

TABLES = {
    "json of emptied tables": EMPTIED + " local l = {} for i = 1, 2e4 do l[i] = t end while true do json.encode(l) end",
    "pairs of an emptied table": EMPTIED + " while true do for _ in pairs(t) do end end",
    "next of an emptied table": EMPTIED + " while true do next(t) end",
    "log of an emptied table": EMPTIED + " while true do logger:info('x', t) end",
    "tokens of an emptied table": EMPTIED + " while true do crypto.jwt.encode(t, 'k') end",
    "details of an emptied table": EMPTIED + " while true do errors.new({message = 'x', details = t}) end",
    "arguments of emptied tables": EMPTIED + " while true do process.send('nobody', 'topic', t, t, t) end",
    "payloads of an emptied table": EMPTIED + " local p = payload.new(t) while true do p:unmarshal() end",
    "select of an emptied table": EMPTIED + " while true do pcall(channel.select, t) end",
    "a map at its limit": FULL + " local i = 0 while true do i = i + 1 t[-i] = 1 t[-i] = nil end",
    "a map at its limit by constants": FULL + " while true do t.a = 1 t.a = nil t.b = 1 t.b = nil t.c = 1 t.c = nil t.d = 1 t.d = nil end",
    "a map at its limit by rawset": FULL + " local i = 0 while true do i = i + 1 rawset(t, -i, 1) rawset(t, -i, nil) end",
    "a list with a small map": (
        "local t = {} for i = 1, 1 << 20 do t[i] = i end t.a, t.b, t.c = 1, 1, 1 local i = 0 "
        "while true do i = i + 1 t[-i] = 1 t[-i] = nil end"
    ),
    "a small map at its limit": (
        "local t = {} for i = 1, (1 << 13) - 1 do t['k' .. i] = i end local i = 0 while true do i = i + 1 t[-i] = 1 t[-i] = nil end"
    ),
    "a map at its limit by swaps": FULL + " local i = 0 while true do i = i + 1 t[-i], t[1 - i] = 1, nil end",
    "move by floats": "while true do pcall(table.move, {}, 1.0, 1e9, 2.0) end",
    "move by texts": "while true do pcall(table.move, {}, '1', '999999999', '2') end",
    "concat without a first item": (
        "local t = {} for i = 1, 1e6 do t[i] = 'x' end t[1] = nil for i = 1, 20 do t[1 << i] = nil end "
        "while true do pcall(table.concat, t, '', 600000, 1000000) end"
    ),
    "concat by floats": "local t = {} for i = 1, 1e6 do t[i] = 'x' end while true do pcall(table.concat, t, '', 1.0, 1e6) end",
    "move of holes": "local t = {} while true do pcall(table.move, t, 1, 1 << 20, 1 << 20) end",
    "move backwards": "local t = {} for i = 1, 2e5 do t[i] = i end while true do table.move(t, 1, 2e5 // 1 | 0, 3) end",
    "move from a text": "while true do pcall(table.move, 'x', 1, 1 << 29, 1, {}) end",
    "concat of numbers": "local t = {} for i = 1, 16000 do t[i] = 1e308 end while true do table.concat(t, ('x'):rep(100)) end",
    "concat of many ranges": "local s, t = ('x'):rep(4000), {} for i = 1, 16000 do t[i] = s end while true do pcall(table.concat, t, s) end",
    "sort with errors": "local t = {} for i = 1, 1e5 do t[i] = i end while true do pcall(table.sort, t, function(a, b) if a > 5e4 then error('x') end return a > b end) end",
    "sort that grows its table": "local t = {3, 2, 1} table.sort(t, function(a, b) t[#t + 1] = {} return true end) while true do table.sort(t, function() t[#t + 1] = 1 return false end) end",
    "sort of a lying table": "local t = setmetatable({}, {__len = function() return 1 << 40 end, __index = function() return 1 end}) while true do pcall(table.sort, t) end",
    "insert with holes": "local t = {} while true do t[1 << 40] = 1 table.insert(t, 1) table.insert(t, 1, 1) end",
    "remove from a lying table": "local t = setmetatable({}, {__len = function() return math.maxinteger end}) while true do pcall(table.remove, t) pcall(table.remove, t, 1) end",
    "unpack of floats": "while true do pcall(table.unpack, {}, 1.0, 1e7) pcall(table.unpack, {}, '1', '60000') end",
    "select of the last": "local function f(...) while true do local x = select(-1, ...) x = select('#', ...) end end f(table.unpack({}, 1, 65000))",
    "varargs of recursion": "local function f(n, ...) if n > 0 then return f(n - 1, n, ...) end end while true do pcall(f, 60000) end",
    "nested constructors": "while true do local t = {" + "{" * 150 + "}" * 150 + "} end",
    "channels in channels": "local c = channel.new(1000) while true do c:send(channel.new(1000)) c:receive() end",
    "spawn storms": "while true do for i = 1, 100 do coroutine.spawn(function() local x <close> = setmetatable({}, {__close = function() end}) end) end end",
}

LIBRARY = {
    "json of wide objects": "local s = '{' .. ('\"a\":1,'):rep(3e5) .. '\"b\":2}' while true do json.decode(s) end",
    "json of distinct keys": "local p = {} for i = 1, 5e4 do p[i] = '\"k' .. i .. '\":1' end local s = '{' .. table.concat(p, ',') .. '}' while true do json.decode(s) end",
    "json of nested arrays": "local s = ('[[],'):rep(100) .. '1' .. (']'):rep(100) while true do json.decode(s) end",
    "json of nested objects": "local s = ('{\"a\":'):rep(2e5) while true do json.decode(s) end",
    "json of surrogates": "local s = '\"' .. ('\\\\ud83d\\\\ude00'):rep(5e5) .. '\"' while true do json.decode(s) end",
    "json of half a surrogate": "local s = '\"' .. ('\\\\ud83d'):rep(1) .. ('x'):rep(8 << 20) .. '\"' while true do json.decode(s) end",
    "json of nulls": "local s = '[' .. ('null,'):rep(5e5) .. '1]' while true do local t = json.decode(s) json.encode(t) end",
    "json of an exponent": "local s = '1e' .. ('9'):rep(4 << 20) while true do json.decode(s) end",
    "json of fractions": "local t = {} for i = 1, 1e5 do t[i] = i / 7 end while true do json.encode(t) end",
    "json of spaces": "local s = (' '):rep(16 << 20) .. '1' while true do json.decode(s) end",
    "json of trailing spaces": "local s = '1' .. ('\\n'):rep(8 << 20) .. 'x' while true do json.decode(s) end",
    "json with an open string": "local s = '[' .. ('\"\\\\\"'):rep(1) .. ('\\\\\"'):rep(2e6) while true do json.decode(s) end",
    "json of floats as keys": "local t = {} for i = 1, 1e5 do t[i + 0.5] = i end while true do json.encode(t) end",
    "json of a sparse list": "local t = {} for i = 1, 1e5 do t[i * 2] = i end while true do json.encode(t) end",
    "json of a deep cycle": "local t = {} local u = t for i = 1, 120 do u.x = {} u = u.x end u.x = t while true do json.encode(t) end",
    "schema of deep references": "local s = {['$defs'] = {}} for i = 1, 2000 do s['$defs']['a' .. i] = {['$ref'] = '#/$defs/a' .. i + 1} end s['$ref'] = '#/$defs/a1' while true do json.validate(s, 1) end",
    "schema of one of many": "local t = {} for i = 1, 4000 do t[i] = {minimum = i} end while true do json.validate({oneOf = t}, 1e6) end",
    "schema of pattern properties": "local p, d = {}, {} for i = 1, 200 do p['^(a|b|' .. i .. ')*$'] = true d[('a'):rep(i)] = 1 end while true do json.validate({patternProperties = p}, d) end",
    "schema of a large enum": "local e = {} for i = 1, 20000 do e[i] = 'v' .. i end while true do json.validate({items = {enum = e}}, {'a', 'b', 'c', 'd', 'e'}) end",
    "schema of contains": "local d = {} for i = 1, 1e5 do d[i] = i end while true do json.validate({contains = {const = -1}, items = {contains = {type = 'null'}}}, d) end",
    "schema of formats": "local d = {} for i = 1, 5000 do d[i] = ('a'):rep(200) .. '@' end while true do json.validate({items = {format = 'email'}}, d) end",
    "schema of a long text": "local s = '{\"const\":\"' .. ('x'):rep(250000) .. '\"}' while true do json.validate_string(s, '1') end",
    "schema of dynamic references": "local s = {['$dynamicAnchor'] = 'n', anyOf = {{type = 'null'}, {items = {['$dynamicRef'] = '#n'}}, {properties = {a = {['$dynamicRef'] = '#n'}}}}} local d = {} for i = 1, 100 do d = {d, d} end while true do json.validate(s, d) end",
    "yaml of aliases": (
        "local s = 'a0: &a0 [x]\\n' for i = 1, 60 do s = s .. 'a' .. i .. ': &a' .. i .. ' [*a' .. i - 1 .. ', *a' .. i - 1 .. ']\\n' end "
        "while true do payload.new(s):transcode(payload.format.YAML) end"
    ),
    "yaml of deep lists": "local t = {} for i = 1, 120 do t = {t} end local p = payload.new(t) while true do p:transcode(payload.format.YAML) end",
    "yaml and back": "local t = {} for i = 1, 900 do t[i] = 'x' end local p = payload.new(t):transcode(payload.format.YAML) while true do p:unmarshal() end",
    "yaml of odd texts": "local p = payload.new(('\\1\\u{2028}: - #'):rep(900)) while true do p:transcode(payload.format.YAML) end",
    "msgpack and back": "local t = {} for i = 1, 5e4 do t[i] = {a = i} end local p = payload.new(t):transcode(payload.format.MSGPACK) while true do p:unmarshal() end",
    "transcode in a circle": "local p = payload.new(('x'):rep(4 << 20)) while true do p = p:transcode(payload.format.JSON):transcode(payload.format.MSGPACK):transcode(payload.format.LUA) end",
    "sha512 of zeros": "local s = ('\\0'):rep(4 << 20) while true do hash.sha512(s, true) hash.sha1(s) end",
    "keyed digest of a long key": "local k = ('k'):rep(16 << 20) while true do hash.hmac_sha256('x', k) crypto.hmac.sha512(k, 'x') end",
    "fnv of the limit": "local s = ('x'):rep(16 << 20) while true do hash.fnv32(s) end",
    "pbkdf2 at its limit": "while true do crypto.pbkdf2('p', 's', 1, 32 * 100000) crypto.pbkdf2('p', 's', 3125, 1024) end",
    "pbkdf2 of long salts": "local s = ('s'):rep(16 << 20) while true do crypto.pbkdf2('p', s, 1, 32) crypto.pbkdf2(s, 's', 1, 32, 'sha512') end",
    "pbkdf2 of many blocks and a long salt": "local s = ('s'):rep(1 << 20) while true do crypto.pbkdf2('p', s, 1, 32 * 1000) end",
    "base64 of broken text": "local s = ('x'):rep(16 << 20) .. '!' while true do base64.decode(s) end",
    "base64 of base64": "local s = ('\\0'):rep(2 << 20) while true do local e = base64.encode(s) base64.decode(e) end",
    "aes of a long aad": "local s = ('x'):rep(16 << 20) while true do crypto.decrypt.aes(s, ('k'):rep(32), s) end",
    "chacha20 and back": "local s, k = ('x'):rep(4 << 20), ('k'):rep(32) while true do crypto.decrypt.chacha20(crypto.encrypt.chacha20(s, k), k) end",
    "random of a charset": "while true do crypto.random.string(1048576, 'ab') crypto.random.string(65537, ('a'):rep(129)) end",
    "signatures with a long key": "local k = ('k'):rep(8 << 20) while true do crypto.jwt.encode({a = 1}, k) end",
    "tokens with a broken key": "local k = '-----BEGIN PRIVATE KEY-----\\n' .. ('A'):rep(1 << 20) while true do crypto.jwt.encode({a = 1}, k, 'RS512') end",
    "token of many dots": "local s = ('a.'):rep(4 << 20) while true do crypto.jwt.verify(s, 'k') end",
    "comparison of zeros": "local s = ('\\0'):rep(4 << 20) while true do crypto.constant_time_compare(s, s) end",
    "uuid of long texts": "local s = ('f'):rep(16 << 20) while true do uuid.parse(s) uuid.validate(s) uuid.v3(s, s) end",
    "dates of all letters": "local f = ('%A %B %c %x %X %p %j'):rep(200) while true do os.date(f, math.maxinteger // 1000000000000) end",
    "dates out of range": "while true do pcall(os.date, '%c', math.maxinteger) pcall(os.time, {year = 1 << 40, month = 1, day = 1}) end",
    "time of an emptied table": EMPTIED + " t.year, t.month, t.day = 2000, 1, 1 while true do os.time(t) end",
    "times of zones": "local z = time.load_location('America/New_York') while true do for i = -1e5, 1e5 do time.unix(i * 1e6 // 1 | 0, 0):in_location(z):format(time.RFC1123) end end",
    "zones of long names": "local s = ('x/'):rep(8 << 20) while true do time.load_location(s) end",
    "times of long texts": "local s = ('2006-01-02T15:04:05Z07:00'):rep(3e5) while true do time.parse(time.RFC3339, s) end",
    "durations of fractions": "local s = '1.' .. ('9'):rep(4 << 20) .. 'h' while true do time.parse_duration(s) end",
    "durations of many units": "local s = ('1ns'):rep(300) while true do time.parse_duration(s) end",
    "log of nested fields": "local t = {} for i = 1, 120 do t = {a = t, b = ('x'):rep(1000)} end while true do logger:warn('x', t) end",
    "log of controls": "local s = ('\\27\\n\\u{2028}'):rep(1 << 20) while true do logger:error(s, {[s:sub(1, 60000)] = s}) end",
    "loggers with fields": "local l = logger while true do l = l:with({[('k'):rep(10) .. tostring(l)] = ('x'):rep(10000)}) end",
    "print of long texts": "local s = ('x\\n'):rep(8 << 20) while true do print(s, s) end",
    "require of a long name": "local s = ('x'):rep(16 << 20) while true do pcall(require, s) end",
    "calls with large arguments": "local s = ('\\1'):rep(2 << 20) while true do require('funcs').async('app:f', s, s) end",
    "calls of a long target": "local s = ('x'):rep(8 << 20) while true do pcall(require('funcs').call, s) end",
    "spawns of a long target": "local s = ('x'):rep(8 << 20) while true do pcall(process.spawn, s, s, s) end",
    "topics": "local i = 0 while true do i = i + 1 pcall(process.listen, ('t'):rep(1000) .. i) end",
    "errors with large details": "local d = {} for i = 1, 3e4 do d['k' .. i] = ('x'):rep(100) end local e = errors.new({message = 'x', details = d}) while true do local x = e:details() end",
    "call stacks": "local e = errors.new('x') while true do errors.call_stack(e) end",
    "wrapped without end": "local e = errors.new('x') while true do e = errors.wrap(e, ('c'):rep(1000)) end",
}

ATTACKS = {
    f"{kind}: {name}": code
    for kind, cases in (
        ("handlers", HANDLERS),
        ("metamethods", METAMETHODS),
        ("texts", TEXTS),
        ("patterns", PATTERNS),
        ("tables", TABLES),
        ("library", LIBRARY),
    )
    for name, code in cases.items()
}
