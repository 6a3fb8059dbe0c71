"""Malicious programs that call the library, which calls the host: more of attacks.py."""

from __future__ import annotations

LIBRARY = {
    "json errors": "local s = '[' .. (' '):rep(4e4) .. '\\n!' while true do json.decode(s) end",
    "json errors of lines": "local s = '[' .. ('\\n'):rep(1 << 20) .. '!' while true do json.decode(s) end",
    "json too deep": "local s = ('['):rep(1 << 20) while true do json.decode(s) end",
    "json of a long string": "local s = '\"' .. ('x'):rep(8 << 20) .. '\"' while true do json.decode(s) end",
    "json of escapes": "local s = '\"' .. ('\\\\n'):rep(4 << 20) .. '\"' while true do json.decode(s) end",
    "json of quotes": "local s = '\"' .. ('\\\\\"'):rep(1 << 20) .. '\"' while true do json.decode(s) end",
    "json of backslashes": "local s = '\"' .. ('\\\\\\\\'):rep(1 << 20) while true do json.decode(s) end",
    "json of a long key": "local s = '{\"' .. ('x'):rep(8 << 20) .. '\":1}' while true do json.decode(s) end",
    "json of a long number": "local s = ('1'):rep(8 << 20) while true do json.decode(s) end",
    "json of many": "local s = '[' .. ('1,'):rep(1 << 20) .. '1]' while true do json.decode(s) end",
    "json of a long text": "local s = ('x'):rep(8 << 20) while true do json.encode(s) end",
    "a long layout": "local s = ('['):rep(16 << 20) while true do time.now():format(s) time.parse(s, s) end",
    "a layout of a long fraction": "local s = '.' .. ('0'):rep(8 << 20) while true do time.now():format(s) end",
    "json of a text that grows": "while true do pcall(json.encode, ('\\\\'):rep(9 << 20)) end",
    "json of controls": "local s = ('\\1'):rep(2 << 20) while true do json.encode(s) end",
    "json of bytes": "local s = ('\\xff'):rep(8 << 20) while true do json.encode(s) end",
    "json of middling texts": "local s, t = ('x'):rep(16000), {} for i = 1, 500 do t[i] = s end while true do json.encode(t) end",
    "json of long keys": "local t = {} for i = 1, 100 do t[('x'):rep(60000) .. i] = i end while true do json.encode(t) end",
    "json of zeros as keys": "local s, t = ('\\0'):rep(20000), {} for i = 1, 400 do t[s .. i] = i end while true do json.encode(t) end",
    "json of many keys": "local t = {} for i = 1, 1e5 do t['k' .. i] = i end while true do json.encode(t) end",
    "json of the same": "local t = {} for i = 1, 20 do t = {t, t} end while true do json.encode(t) end",
    "schema of references": (
        "local d = {a0 = {type = 'string'}} for i = 1, 40 do d['a' .. i] = {allOf = {{['$ref'] = '#/$defs/a' .. i - 1}, "
        "{['$ref'] = '#/$defs/a' .. i - 1}}} end "
        "while true do json.validate({['$defs'] = d, ['$ref'] = '#/$defs/a40'}, 'x') end"
    ),
    "schema of itself": "while true do json.validate({['$ref'] = '#'}, 'x') end",
    "schema of itself in a circle": (
        "while true do json.validate({['$defs'] = {a = {allOf = {{['$ref'] = '#/$defs/b'}}}, "
        "b = {anyOf = {{['$ref'] = '#/$defs/a'}}}}, ['$ref'] = '#/$defs/a'}, 'x') end"
    ),
    "schema that doubles by items": (
        "local s, d = {items = {anyOf = {{['$ref'] = '#'}, {['$ref'] = '#'}, {['$ref'] = '#'}}}}, 1 "
        "for i = 1, 100 do d = {d} end while true do json.validate(s, d) end"
    ),
    "schema of many": "local t = {} for i = 1, 200000 do t[i] = {type = 'string'} end while true do json.validate({anyOf = t}, 5) end",
    "schema of some": "local t = {} for i = 1, 4000 do t[i] = {type = 'string'} end while true do json.validate({anyOf = t}, 5) end",
    "schema with many faults": "local t = {} for i = 1, 1e5 do t[i] = i end while true do json.validate({items = {type = 'string'}}, t) end",
    "schema with a pattern": "while true do json.validate({pattern = '^(a+)+$'}, ('a'):rep(40) .. 'b') end",
    "schema with a back reference": "while true do json.validate({pattern = '^(a|a|b)*(\\\\1)*$'}, ('a'):rep(400) .. 'c') end",
    "schema with a large pattern": "while true do json.validate({pattern = '((a{1,100}){1,100}){1,100}'}, 'x') end",
    "schema of unevaluated": (
        "local s = {type = 'object'} for i = 1, 30 do s = {allOf = {s, s}, unevaluatedProperties = false} end "
        "while true do json.validate(s, {a = 1}) end"
    ),
    "schema of unique items": "local t = {} for i = 1, 3e4 do t[i] = {i} end while true do json.validate({uniqueItems = true}, t) end",
    "schemas without end": "local i = 0 while true do i = i + 1 json.validate({minimum = i}, 5) end",
    "pbkdf2": "while true do crypto.pbkdf2('p', 's', 100000, 32) end",
    "pbkdf2 of sha512": "while true do crypto.pbkdf2('p', 's', 50000, 64, 'sha512') end",
    "pbkdf2 of a long key": "while true do crypto.pbkdf2('p', 's', 1, 3000000) end",
    "pbkdf2 of a long password": "local p = ('x'):rep(8 << 20) while true do crypto.pbkdf2(p, p, 10, 32) end",
    "digests": "local s = ('x'):rep(8 << 20) while true do hash.sha512(s) end",
    "md5": "local s = ('x'):rep(8 << 20) while true do hash.md5(s) end",
    "small digests": "while true do hash.sha256('x') end",
    "keyed digests": "local s = ('x'):rep(8 << 20) while true do hash.hmac_sha512(s, s) end",
    "fnv": "local s = ('x'):rep(8 << 20) while true do hash.fnv64(s) end",
    "base64": "local s = ('x'):rep(8 << 20) while true do base64.encode(s) end",
    "base64 back": "local s = ('x'):rep(8 << 20) while true do base64.decode(s) end",
    "aes": "local s = ('x'):rep(8 << 20) while true do crypto.encrypt.aes(s, ('k'):rep(32)) end",
    "chacha20": "local s = ('x'):rep(8 << 20) while true do crypto.encrypt.chacha20(s, ('k'):rep(32)) end",
    "aad": "local s = ('x'):rep(8 << 20) while true do crypto.encrypt.aes('x', ('k'):rep(32), s) end",
    "random bytes": "while true do crypto.random.bytes(1048576) end",
    "random text": "while true do crypto.random.string(1048576) end",
    "uuids": "while true do uuid.v4() end",
    "named uuids": "local s = ('x'):rep(8 << 20) while true do uuid.v5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', s) end",
    "tokens": "local t = {} for i = 1, 1e4 do t['k' .. i] = i end while true do crypto.jwt.encode(t, 'k') end",
    "token of nothing": "local s = ('x'):rep(8 << 20) while true do crypto.jwt.verify(s .. '.' .. s .. '.' .. s, 'k') end",
    "comparison": "local s = ('x'):rep(8 << 20) while true do crypto.constant_time_compare(s, s) end",
    "yaml rows": (
        "local t = {} for i = 1, 100000 do t[i] = {id = i} end local p = payload.new(t) "
        "while true do p:transcode(payload.format.YAML) end"
    ),
    "yaml of the limit": (
        "local t = {} for i = 1, 1500 do t[i] = i end local p = payload.new(t) while true do p:transcode(payload.format.YAML) end"
    ),
    "msgpack": "local t = {} for i = 1, 1e5 do t[i] = i end local p = payload.new(t) while true do p:transcode(payload.format.MSGPACK) end",
    "unmarshal": "local t = {} for i = 1, 1e5 do t[i] = i end local p = payload.new(t) while true do p:unmarshal() end",
    "zones": "local i = 0 while true do i = i + 1 time.load_location('Etc/GMT+' .. i % 12) end",
    "unknown zones": "local i = 0 while true do i = i + 1 time.load_location('No/Where' .. i) end",
    "far times of a zone": (
        "local z, i = time.load_location('Europe/Berlin'), 0 while true do i = i + 1 "
        "time.unix(i * 15000000, 0):in_location(z):format(time.RFC1123) end"
    ),
    "time layouts": "local l = ('2006-01-02 '):rep(1e5) while true do time.now():format(l) end",
    "time texts": "local l = ('2006 '):rep(1e5) while true do time.parse(l, l) end",
    "time fractions": "local l = '5.' .. ('0'):rep(1 << 20) while true do time.now():format(l) end",
    "durations": "local s = ('1h'):rep(1e6) while true do time.parse_duration(s) end",
    "long durations": "local s = ('9'):rep(8 << 20) .. 's' while true do time.parse_duration(s) end",
    "unit of a duration": "local s = '1' .. ('x'):rep(8 << 20) while true do time.parse_duration(s) end",
    "log": "while true do logger:info('x') end",
    "log of much": "local s = ('x'):rep(1 << 20) while true do logger:info(s, {field = s}) end",
    "log of many fields": "local t = {} for i = 1, 1e4 do t['k' .. i] = i end while true do logger:info('x', t) end",
    "named loggers": "local l = logger while true do l = l:named(('x'):rep(1000)) end",
    "print": "while true do print('x') end",
    "print of many": "while true do print(table.unpack({}, 1, 60000)) end",
    "missing modules": "while true do pcall(require, 'missing') end",
    "large arguments": "local s = ('x'):rep(8 << 20) while true do process.send('nobody', 'topic', s, s) end",
    "calls": "while true do require('funcs').async('app:f', 1) end",
}

ATTACKS = {f"library: {name}": code for name, code in LIBRARY.items()}

#: Programs that use more than a third of the default budget before they attack.
PREPARED = {
    f"library: {name}"
    for name in ("a long layout", "a layout of a long fraction", "json of many keys", "schema of many")
}
