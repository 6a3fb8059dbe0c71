"""Compiling: library chunks and user code become bytecode, once per process."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

import lupa.lua54 as lupa

from saros.model.errors import INTERNAL, INVALID, CodeError, Error

from ..library import chunk_files
from .instrument import TooLarge, instrument

#: The chunks that make the sandbox, in order; everything else builds on them.
SANDBOX: Final = ("natives", "bounds", "sandbox", "objects", "pairs", "globals")

_STRIPPED: Final = frozenset({*SANDBOX, "boot"})
"""Chunks without line numbers, like those of the room ``stdlib``: errors that their functions raise for the caller
must not mention them."""

_MAX_SOURCE: Final = 4 << 20  # bytes
_MAX_MEMORY: Final = 256 << 20  # bytes; for compiling one source
_MESSAGE: Final = re.compile(r"^.*?:(\d+): (.*)$", re.DOTALL)

# `false, message` for faults in the source: an error would carry a traceback, as would some messages of
# `load` outside a protected call.
_COMPILER: Final = rb"""
local load, dump, pcall = load, string.dump, pcall
return function(source, name, strip)
  local ok, fn, message = pcall(load, source, name, "t")
  if not ok or not fn then
    return false, message or fn
  end
  return true, dump(fn, strip)
end
"""


def _compile(source: bytes, name: bytes, *, strip: bool) -> tuple[bool, bytes]:
    """Compile in a fresh VM: nothing that a source does to the VM outlives the call."""
    builder = lupa.LuaRuntime(
        encoding=None, register_eval=False, register_builtins=False, max_memory=_MAX_MEMORY
    )
    ok, result = builder.execute(_COMPILER)(source, name, strip)
    return bool(ok), bytes(result)


@cache
def library_chunk(name: str) -> bytes:
    """Return the bytecode of a chunk of the library.

    :raises Error: when the library has no such chunk, or it does not compile.
    """
    file = chunk_files().get(name)
    if file is None:
        raise Error(f"the Lua library has no chunk {name}", INTERNAL, retryable=False)
    room = file.parent.name
    return compile_library(file.read_bytes(), f"{room}/{name}", strip=room == "stdlib" or name in _STRIPPED)


def compile_library(source: bytes, name: str, *, strip: bool = False) -> bytes:
    """Return the bytecode of a chunk of the library, or of a module (`saros.interfaces.module.Module.source`).

    :param name: the name of its frames in stack traces, after ``saros/``.

    :raises Error: INTERNAL, when it does not compile.
    """
    ok, result = _compile(source, f"=saros/{name}.lua".encode(), strip=strip)
    if not ok:
        raise Error(f"module {name}: {result.decode(errors='replace')}", INTERNAL, retryable=False)
    return result


@lru_cache(maxsize=2048)
def compile_user(source: bytes, chunkname: str) -> bytes:
    """Return the bytecode of user code, with the checks of `instrument`.

    :param source: the text; bytecode is refused.
    :param chunkname: the file's name, as errors and tracebacks show it.
    :raises CodeError: when the text is not Lua; `where` is file:line.
    """
    if len(source) > _MAX_SOURCE:
        size = _MAX_SOURCE >> 20
        raise CodeError(f"the source is larger than {size} MiB", INVALID, retryable=False, where=chunkname)
    if source.startswith(b"\xef\xbb\xbf"):
        source = source[3:]
    if source.startswith(b"#"):  # a "#!" line, as in scripts
        source = b"--" + source
    try:
        ok, result = _compile(source, b"@" + chunkname.encode(), strip=False)
    except lupa.LuaError as exc:  # out of memory
        message = exc.args[0].decode(errors="replace") if isinstance(exc.args[0], bytes) else str(exc)
        ok, result = False, message.encode()
    if not ok:
        text = result.decode(errors="replace")
        found = _MESSAGE.match(text)
        line, message = found.groups() if found else ("1", text)
        raise CodeError(message, INVALID, retryable=False, where=f"{chunkname}:{line}")
    try:
        return instrument(result)
    except TooLarge as exc:
        message = "this function is too large: split it into several"
        raise CodeError(message, INVALID, retryable=False, where=f"{chunkname}:{exc.args[0]}") from None
