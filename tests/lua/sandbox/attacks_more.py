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
    "nested error objects": (
        "local e = 'x' for i = 1, 1e5 do e = errors.wrap(errors.new({message = 'm', details = {e = e}}), 'c') end error(e)"
    ),
    "error with a huge kind": "error(errors.new(('k'):rep(16 << 20), ('m'):rep(16 << 20)))",
    "error of broken utf-8": "error(('\\xe2\\x80'):rep(4 << 20))",
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
        "while true do pcall(function() "
        + "local x <close> = setmetatable({}, {__close = function() error('y') end}) " * 150
        + "error('x') end) end"
    ),
    "closer of a chain of coroutines": (
        f"local function nest(n) local co = coroutine.create(function() {CLOSER} "
        "if n > 0 then nest(n - 1) end coroutine.yield() end) coroutine.resume(co) coroutine.close(co) end "
        "nest(150) print('escaped')"
    ),
    "pcalls nested by errors": "local function f() pcall(error) pcall(f) end f()",
    "overflow in gsub": "local function f() return (('x'):gsub('.', f)) end xpcall(f, function() while true do end end) print('escaped')",
    "overflow through pairs": (
        "local t t = setmetatable({}, {__pairs = function() for _ in pairs(t) do end end}) while true do pcall(pairs, t) end"
    ),
    "overflow through require": "local function f() pcall(require, 'json') f() end while true do pcall(f) end",
}

METAMETHODS = {
    "gc put in later": "local m = {} local t = setmetatable({}, m) m.__gc = function() while true do end end t = nil for i = 1, 1e6 do local x = {} end print('harmless')",
    "concat put in later": "local m = {} local t = setmetatable({}, m) m.__concat = function(a, b) return ('x'):rep(1 << 20) end while true do local s = t .. 'a' .. t .. 'b' .. t end",
    "eq put in later": "local m = {} local a, b = setmetatable({}, m), setmetatable({}, m) m.__eq = function(x, y) return x == y end while true do pcall(function() return a == b end) end",
    "index and newindex of each other": (
        "local a, b = {}, {} setmetatable(a, {__index = b, __newindex = b}) setmetatable(b, {__index = a, __newindex = a}) "
        "while true do pcall(function() return a.x end) pcall(function() a.x = 1 end) end"
    ),
    "a loop of newindex and a call": "local a, b = {}, {} setmetatable(a, {__newindex = b}) setmetatable(b, {__newindex = a}) while true do pcall(function() a['__' .. 'call'] = a end) end",
    "name that grows": "local m = {__name = 'x'} local t = setmetatable({}, m) while true do m.__name = m.__name .. m.__name pcall(tostring, t) end",
    "tostring of many": "local t = setmetatable({}, {__tostring = function() return ('x'):rep(1 << 20) end}) while true do print(t, t, t, t, t, t, t, t) end",
    "close put in later": "local m = {__close = function() end} do local t <close> = setmetatable({}, m) m.__close = function() while true do end end end print('escaped')",
    "index through coroutines": "local t t = setmetatable({}, {__index = function(s, k) return coroutine.wrap(function() return s[k + 1] end)() end}) while true do pcall(function() return t[1] end) end",
}

TEXTS = {
    "rep of rep of zeros": "local s = ('\\0'):rep(1 << 22) while true do pcall(string.rep, s, 4) local x = s == s .. '' end",
    "concat of a wide row": "local s = ('x'):rep(4000) while true do local t = "
    + " .. ".join(["s"] * 150)
    + " end",
    "texts of zeros as keys": "local s = ('\\0'):rep(1 << 20) local t = {} while true do t[s .. 'a'] = 1 t[s .. 'b'] = nil end",
    "comparison in a comparator": "local s = ('\\0'):rep(1 << 20) local t = {} for i = 1, 60 do t[i] = i end while true do table.sort(t, function(a, b) return s < s end) end",
    "max of texts": "local s = (' '):rep(8 << 20) .. '1' while true do math.max(s, s, s) math.floor(s) end",
    "for over a text": "local s = (' '):rep(8 << 20) .. '1' while true do pcall(function() for i = s, 2 do end end) end",
    "format of many floats": "local f = ('%99.99f'):rep(1000) local t = {} for i = 1, 1000 do t[i] = 1e308 end while true do pcall(string.format, f, table.unpack(t)) end",
    "pack of alignments": "local f = '!16' .. ('bXi16'):rep(800) while true do pcall(string.pack, f, table.unpack({}, 1, 800)) end",
    "unpack of many small": "local s = ('\\0'):rep(4 << 20) local f = ('z'):rep(4000) while true do pcall(string.unpack, f, s) end",
    "utf8.char of many": "local t = {} for i = 1, 60000 do t[i] = 0x7fffffff end while true do utf8.char(table.unpack(t)) end",
    "utf8 offset back": "local s = ('\\x80'):rep(8 << 20) while true do pcall(utf8.offset, s, -1, #s) pcall(utf8.offset, s, 0, #s) end",
}

PATTERNS = {
    "set of classes": "local p = '[^' .. ('%d%s'):rep(1000) .. ']-%d' while true do pcall(string.match, ('a'):rep(20000), p) end",
    "frontiers in a row": "local p = ('%f[%w]'):rep(600) .. 'x' while true do pcall(string.find, ('a '):rep(1e5), p) end",
    "frontier of a set after a loop": "local p = '.-%f[' .. ('b'):rep(3000) .. ']x' while true do pcall(string.find, ('a'):rep(10000), p) end",
    "balances after a loop": "local s = ('('):rep(5000) while true do pcall(string.find, s, '.-%b()x') pcall(string.find, s, '%b()%b()') end",
    "back reference of a long capture": "local s = ('a'):rep(2e5) while true do pcall(string.find, s, '^(.-)%1%1$') end",
    "empty captures": "local p = ('()'):rep(32) .. '.-x' while true do pcall(string.find, ('a'):rep(20000), p) end",
    "gsub by a table of long texts": "local t = {a = ('x'):rep(1e5)} while true do pcall(string.gsub, ('a'):rep(1e4), 'a', t) end",
    "gsub of captures that overlap": "while true do pcall(string.gsub, ('a'):rep(3000), '(.*)', '%1%1%1%1') end",
    "gsub in a gsub": "local s = ('a'):rep(2000) while true do s:gsub('a', function() return (s:gsub('a', 'b')) end) end",
    "gmatch kept": "local t = {} while true do t[#t + 1] = ('a'):rep(1e4):gmatch('.-b') t[#t]() end",
    "anchored options": "while true do pcall(string.match, ('a'):rep(60), '^' .. ('a?'):rep(60) .. ('a'):rep(60) .. '$x') end",
    "quadratic trim": "while true do pcall(string.match, (' '):rep(30000) .. 'x', '^(.-)%s*$') pcall(string.gsub, (' '):rep(30000) .. 'x', '%s+$', '') end",
    "plain in zeros": "local s = ('\\0'):rep(4 << 20) while true do s:find(('\\0'):rep(8000) .. 'c', 1, true) end",
}

TABLES = {
    "json of emptied tables": EMPTIED
    + " local l = {} for i = 1, 2e4 do l[i] = t end while true do json.encode(l) end",
    "pairs of an emptied table": EMPTIED + " while true do for _ in pairs(t) do end end",
    "tokens of an emptied table": EMPTIED + " while true do crypto.jwt.encode(t, 'k') end",
    "payloads of an emptied table": EMPTIED + " local p = payload.new(t) while true do p:unmarshal() end",
    "a map at its limit by constants": FULL
    + " while true do t.a = 1 t.a = nil t.b = 1 t.b = nil t.c = 1 t.c = nil t.d = 1 t.d = nil end",
    "a list with a small map": (
        "local t = {} for i = 1, 1 << 20 do t[i] = i end t.a, t.b, t.c = 1, 1, 1 local i = 0 "
        "while true do i = i + 1 t[-i] = 1 t[-i] = nil end"
    ),
    "a small map at its limit": (
        "local t = {} for i = 1, (1 << 13) - 1 do t['k' .. i] = i end local i = 0 while true do i = i + 1 t[-i] = 1 t[-i] = nil end"
    ),
    "move by floats": "while true do pcall(table.move, {}, 1.0, 1e9, 2.0) end",
    "move by texts": "while true do pcall(table.move, {}, '1', '999999999', '2') end",
    "concat without a first item": (
        "local t = {} for i = 1, 1e6 do t[i] = 'x' end t[1] = nil for i = 1, 20 do t[1 << i] = nil end "
        "while true do pcall(table.concat, t, '', 600000, 1000000) end"
    ),
    "concat by floats": "local t = {} for i = 1, 1e6 do t[i] = 'x' end while true do pcall(table.concat, t, '', 1.0, 1e6) end",
    "sort with errors": "local t = {} for i = 1, 1e5 do t[i] = i end while true do pcall(table.sort, t, function(a, b) if a > 5e4 then error('x') end return a > b end) end",
    "sort that grows its table": "local t = {3, 2, 1} table.sort(t, function(a, b) t[#t + 1] = {} return true end) while true do table.sort(t, function() t[#t + 1] = 1 return false end) end",
    "unpack of floats": "while true do pcall(table.unpack, {}, 1.0, 1e7) pcall(table.unpack, {}, '1', '60000') end",
    "varargs of recursion": "local function f(n, ...) if n > 0 then return f(n - 1, n, ...) end end while true do pcall(f, 60000) end",
    "spawn storms": "while true do for i = 1, 100 do coroutine.spawn(function() local x <close> = setmetatable({}, {__close = function() end}) end) end end",
}

LIBRARY = {
    "json of wide objects": "local s = '{' .. ('\"a\":1,'):rep(3e5) .. '\"b\":2}' while true do json.decode(s) end",
    "json of half a surrogate": "local s = '\"' .. ('\\\\ud83d'):rep(1) .. ('x'):rep(8 << 20) .. '\"' while true do json.decode(s) end",
    "json with an open string": "local s = '[' .. ('\"\\\\\"'):rep(1) .. ('\\\\\"'):rep(2e6) while true do json.decode(s) end",
    "json of blanks": "local s = (' '):rep(8 << 20) while true do json.decode(s) end",
    "json with blanks": "local s = '[' .. (' '):rep(8 << 20) .. '1]' while true do json.decode(s) end",
    "json of a long fraction": "local s = '0.' .. ('1'):rep(8 << 20) while true do json.decode(s) end",
    "calls of a long id": "local s = ('a'):rep(8 << 20) while true do require('funcs').async(s) end",
    "sends to a long pid": "local s = ('@'):rep(8 << 20) while true do process.send(s, 't') end",
    "long errors": "local s = ('a'):rep(8 << 20) while true do pcall(error, s) end",
    "queries of a long text": "local h, s = require('http_client'), ('+'):rep(1 << 20) while true do h.decode_uri(s) h.encode_uri(s) end",
    "times of long runs": "local s = ('1'):rep(8 << 20) while true do time.parse('05', '05.' .. s) time.parse('MST', '+' .. s) end",
    "random of a long charset": "local s = ('a'):rep(8 << 20) while true do crypto.random.string(5, s) end",
    "json of floats as keys": "local t = {} for i = 1, 1e5 do t[i + 0.5] = i end while true do json.encode(t) end",
    "schema of pattern properties": "local p, d = {}, {} for i = 1, 200 do p['^(a|b|' .. i .. ')*$'] = true d[('a'):rep(i)] = 1 end while true do json.validate({patternProperties = p}, d) end",
    "schema of a large enum": "local e = {} for i = 1, 20000 do e[i] = 'v' .. i end while true do json.validate({items = {enum = e}}, {'a', 'b', 'c', 'd', 'e'}) end",
    "schema of contains": "local d = {} for i = 1, 1e5 do d[i] = i end while true do json.validate({contains = {const = -1}, items = {contains = {type = 'null'}}}, d) end",
    "schema of dynamic references": "local s = {['$dynamicAnchor'] = 'n', anyOf = {{type = 'null'}, {items = {['$dynamicRef'] = '#n'}}, {properties = {a = {['$dynamicRef'] = '#n'}}}}} local d = {} for i = 1, 100 do d = {d, d} end while true do json.validate(s, d) end",
    "schema of alternatives for wide data": "local s, d = {oneOf = {}}, {} for i = 1, 2000 do s.oneOf[i] = {required = {'k' .. i}} d['k' .. i] = 1 end while true do json.validate(s, d) end",
    "schema of alternatives that all fail": "local s, d = {oneOf = {}}, {} for i = 1, 1000 do s.oneOf[i] = {dependentRequired = {['k' .. i] = {'z'}}} end for i = 1, 3000 do d['k' .. i] = i end while true do json.validate(s, d) end",
    "schema of patterns for wide data": "local s, d = {oneOf = {}}, {} for i = 1, 2000 do s.oneOf[i] = {patternProperties = {a = true}, properties = {}} d['k' .. i] = 1 end while true do json.validate(s, d) end",
    "schema of items for a long list": "local s, d = {oneOf = {}}, {} for i = 1, 500 do s.oneOf[i] = {items = {const = i}, prefixItems = {true}} end for i = 1, 5000 do d[i] = 1 end while true do json.validate(s, d) end",
    "yaml of deep lists": "local t = {} for i = 1, 120 do t = {t} end local p = payload.new(t) while true do p:transcode(payload.format.YAML) end",
    "yaml of odd texts": "local p = payload.new(('\\1\\u{2028}: - #'):rep(900)) while true do p:transcode(payload.format.YAML) end",
    "msgpack and back": "local t = {} for i = 1, 9e3 do t[i] = {a = i} end local p = payload.new(t):transcode(payload.format.MSGPACK) while true do p:unmarshal() end",
    "pbkdf2 at its limit": "while true do crypto.pbkdf2('p', 's', 1, 32 * 100000) crypto.pbkdf2('p', 's', 3125, 1024) end",
    "pbkdf2 of long salts": "local s = ('s'):rep(16 << 20) while true do crypto.pbkdf2('p', s, 1, 32) crypto.pbkdf2(s, 's', 1, 32, 'sha512') end",
    "pbkdf2 of many blocks and a long salt": "local s = ('s'):rep(1 << 20) while true do crypto.pbkdf2('p', s, 1, 32 * 1000) end",
    "random of a charset": "while true do crypto.random.string(1048576, 'ab') crypto.random.string(65537, ('a'):rep(129)) end",
    "tokens with a broken key": "local k = '-----BEGIN PRIVATE KEY-----\\n' .. ('A'):rep(1 << 20) while true do crypto.jwt.encode({a = 1}, k, 'RS512') end",
    "token of many dots": "local s = ('a.'):rep(4 << 20) while true do crypto.jwt.verify(s, 'k') end",
    "uuid of long texts": "local s = ('f'):rep(16 << 20) while true do uuid.parse(s) uuid.validate(s) uuid.v3(s, s) end",
    "dates out of range": "while true do pcall(os.date, '%c', math.maxinteger) pcall(os.time, {year = 1 << 40, month = 1, day = 1}) end",
    "times of zones": "local z = time.load_location('America/New_York') while true do for i = -1e5, 1e5 do time.unix(i * 1e6 // 1 | 0, 0):in_location(z):format(time.RFC1123) end end",
    "times of long texts": "local s = ('2006-01-02T15:04:05Z07:00'):rep(3e5) while true do time.parse(time.RFC3339, s) end",
    "log of nested fields": "local t = {} for i = 1, 120 do t = {a = t, b = ('x'):rep(1000)} end while true do logger:warn('x', t) end",
    "log of controls": "local s = ('\\27\\n\\u{2028}'):rep(1 << 20) while true do logger:error(s, {[s:sub(1, 60000)] = s}) end",
    "require of a long name": "local s = ('x'):rep(16 << 20) while true do pcall(require, s) end",
    "calls with large arguments": "local s = ('\\1'):rep(2 << 20) while true do require('funcs').async('app:f', s, s) end",
    "errors with large details": "local d = {} for i = 1, 3e4 do d['k' .. i] = ('x'):rep(100) end local e = errors.new({message = 'x', details = d}) while true do local x = e:details() end",
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

#: Programs that use more than a third of the default budget before they attack.
PREPARED = {
    "texts: utf8 offset back",
    *(f"tables: {kind} of an emptied table" for kind in ("pairs", "tokens", "payloads")),
    *(f"tables: {name}" for name in ("json of emptied tables", "a map at its limit by constants")),
    *(f"tables: {name}" for name in ("a list with a small map", "concat by floats")),
    *(
        f"library: {name}"
        for name in ("pbkdf2 of long salts", "uuid of long texts", "require of a long name")
    ),
}
