"""One Lua VM: the only place that touches lupa.

Rules that keep the process alive (each has a test):

* Python objects never reach user code, and Python's exceptions never cross Lua.
* Only bytes, int, float, bool and None cross. Values are pushed into Lua outside its
  protected calls, so there must be room for it: the hard memory limit lies `HEADROOM` above the soft
  one that stops user code, and no single value may be larger than `MAX_VALUE`.
* A VM that was stopped (budget, memory) is dropped; nothing in it runs again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from time import thread_time
from typing import Any, Final, NamedTuple, NoReturn

import lupa.lua54 as lupa

from saros.model.errors import INTERNAL, INVALID, Error
from saros.model.text import sentence

from .chunks import SANDBOX, compile_user, library_chunk

__all__ = ["CORE", "SANDBOX", "Limits", "Stopped", "Vm", "compile_user"]

#: The chunks that every program needs, in order of loading; other chunks are loaded when first required.
CORE: Final = (*SANDBOX, "errors", "scheduler", "codec", "program", "facts", "require", "funcs")

MAX_VALUE: Final = 16 << 20  # bytes
HEADROOM: Final = 40 << 20  # bytes

_log = logging.getLogger(__name__)
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1

Host = Callable[..., Any]
"""``host(name, *args)``: returns a value or a tuple of values, or raises `saros.Error`."""


class Limits(NamedTuple):
    """The limits of one activation (the delivery of one event)."""

    instructions: int = 20_000_000  # of the VM
    milliseconds: int = 150  # of CPU time of the thread; on a slow machine up to five times as much
    memory: int = 64 << 20  # bytes, of the whole VM


DEFAULT_LIMITS: Final = Limits()


class Stopped(Error):
    """User code exceeded a limit; its VM cannot be used any more.

    :ivar reason: ``budget``, ``memory`` or ``stack``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, INTERNAL, retryable=False)
        self.reason = reason


def _no_attributes(_obj: object, name: object, _setting: bool) -> NoReturn:
    raise AttributeError(f"{name!r} is not available to Lua")


def too_large(size: int) -> Error:
    return Error(f"a value of {size} bytes is too large for Lua", INVALID, retryable=False)


def _pushable(value: Any) -> Any:
    """Return a value as Lua gets it.

    :raises Error: when the value must not be pushed.
    """
    if value is None or value is True or value is False or type(value) is float:
        return value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        if len(value) > MAX_VALUE:
            raise too_large(len(value))
        return value
    if isinstance(value, int):
        if _INT_MIN <= value <= _INT_MAX:
            return int(value)
        raise Error(f"{value} does not fit into 64 bits", INVALID, retryable=False)
    raise Error(f"a {type(value).__name__} cannot be given to Lua", INTERNAL, retryable=False)


class _Bridge:
    """The Python functions that Lua holds. It must not refer to the VM: a cycle through Lua is never collected."""

    def __init__(self, host: Host | None) -> None:
        self.host = host
        self.loaders: dict[str, Callable[..., Any]] = {"library": library_chunk}
        self.interrupt: BaseException | None = None

    def call(self, name: bytes, *args: Any) -> tuple[Any, ...]:
        return self._answer(self.host, name, args)

    def load(self, kind: bytes, *args: Any) -> tuple[Any, ...]:
        loader = self.loaders.get(kind.decode())
        texts = [arg.decode() if isinstance(arg, bytes) else arg for arg in args[1:]]
        first = args[0] if args else b""
        ok, *rest = self._answer(loader, first, texts)
        return (ok, *rest) if ok else (ok, None, rest[-1] if rest else None)

    def clock(self) -> float | None:
        """Return the CPU time of this thread, in seconds; None when the host was interrupted meanwhile."""
        try:
            return thread_time()
        except BaseException as exc:  # a signal handler raised
            self.interrupt = exc
            return None

    def _answer(self, fn: Host | None, name: bytes, args: Iterable[Any]) -> tuple[Any, ...]:
        """Call `fn` and let no exception out: Lua code could catch it and see the stack of the host."""
        text = name.decode(errors="replace")
        try:
            if fn is None:
                raise Error(f"the host function {text} is not available here", INTERNAL, retryable=False)
            value = fn(text, *args)
            values = value if isinstance(value, tuple) else (value,)
            answer = (True, *[_pushable(item) for item in values])
            if sum(len(item) for item in answer if isinstance(item, bytes)) > MAX_VALUE:
                raise Error(f"the answer of {text} is too large for Lua", INVALID, retryable=False)
        except Error as exc:
            return False, exc.kind.encode(), sentence(str(exc)).encode()
        except Exception as exc:
            _log.exception("host function %s failed", text)
            return False, INTERNAL.encode(), sentence(f"{text}: {type(exc).__name__}: {exc}").encode()
        except BaseException as exc:
            self.interrupt = exc
            return (None,)
        return answer


class Vm:
    """One sandbox.

    :param workflow: whether it runs workflow code, so that everything must be deterministic.
    :param host: is called for ``rt.host(name, ...)``; may be set later as `host`.
    :param trace: whether programs record which line issued which command.
    :param boot: the library chunks to run at once.

    Only `close` frees a `Vm` whose host refers back to it.
    """

    def __init__(
        self,
        *,
        workflow: bool,
        limits: Limits = DEFAULT_LIMITS,
        host: Host | None = None,
        trace: bool = False,
        boot: tuple[str, ...] = CORE,
    ) -> None:
        self.workflow = workflow
        self.trace = trace
        self.limits = limits
        self._bridge = _Bridge(host)
        self._hard = limits.memory + HEADROOM
        self._lua = lupa.LuaRuntime(
            encoding=None,
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_no_attributes,
            max_memory=self._hard,
        )
        chunks: list[bytes] = []
        for name in boot:
            chunks += (name.encode(), library_chunk(name))
        #: The library's private table; fields by ``vm.rt[b"name"]``.
        self.rt: Any = None
        self.rt = self._run(
            self._lua.execute,
            library_chunk("boot"),
            limits.instructions,
            limits.milliseconds,
            limits.memory,
            workflow,
            trace,
            self._bridge.call,
            self._bridge.load,
            self._bridge.clock,
            *chunks,
        )
        self._enter = self.rt[b"enter"]
        self._renew = self.rt[b"renew"]

    def renew(self, source: int = 0) -> None:
        """Drop the program that ran here and prepare for another: a new environment, a new budget.

        Call it only for a VM that was never stopped.

        :param source: the number of the source that the next program runs.
        """
        self._bridge.host = None
        self._bridge.loaders = {"library": library_chunk}
        self._run(self._enter, thread_time(), self._renew, source)

    @property
    def host(self) -> Host | None:
        return self._bridge.host

    @host.setter
    def host(self, host: Host | None) -> None:
        self._bridge.host = host

    @property
    def loaders(self) -> dict[str, Callable[..., Any]]:
        """Kind -> function(text, ...) behind ``rt.host_load(kind, text, ...)``; ``library`` is always there."""
        return self._bridge.loaders

    @property
    def spoiled(self) -> bool:
        """True if a library chunk failed while loading; then no other program may run here."""
        return bool(self.rt[b"spoiled"])

    @property
    def memory(self) -> int:
        """The memory that the VM uses, in bytes."""
        return int(self._lua.get_memory_used(total=True))

    @property
    def used(self) -> int:
        """About how many instructions the last call has used."""
        return int(self.rt[b"used"]())

    def call(self, fn: Any, *args: Any) -> Any:
        """Call a Lua function with bytes, str, int, float, bool or None; return what it returns.

        Several results come as a tuple. The budget starts anew.

        :raises Stopped: when the code exceeds a limit.
        :raises Error: INVALID when an argument is too large; INTERNAL when the library raises.
        """
        pushed = [_pushable(arg) for arg in args]
        return self.call_with(fn, sum(len(arg) + 64 for arg in pushed if isinstance(arg, bytes)), pushed)

    def call_with(self, fn: Any, size: int, args: Sequence[Any]) -> Any:
        """Do the same for arguments that are known to be bytes (`size` in all), 64-bit integers, or None."""
        if size > MAX_VALUE:
            raise Error(f"{size} bytes of arguments are too large for Lua", INVALID, retryable=False)
        return self._run(self._enter, thread_time(), fn, *args, need=size)

    def fn(self, name: str) -> Any:
        """Return the library function ``rt.<name>``."""
        return self.rt[name.encode()]

    def close(self) -> None:
        """Free the VM. Calling it afterwards is an error."""
        self._bridge.host = None
        self._bridge.loaders = {}
        self.rt = self._enter = self._renew = None
        self._lua = None

    def _run(self, fn: Callable[..., Any], *args: Any, need: int = 0) -> Any:
        lua = self._lua
        room = self._hard - (1 << 20) - need
        if lua.get_memory_used(total=True) > room:
            lua.gccollect()
            if lua.get_memory_used(total=True) > room:
                raise Stopped("memory", f"this needs more than {self.limits.memory >> 20} MiB of memory")
        try:
            return fn(*args)
        except lupa.LuaMemoryError:
            text = f"this needs more than {self.limits.memory >> 20} MiB of memory"
            raise Stopped("memory", text) from None
        except lupa.LuaError as exc:
            self._explain(exc)
        finally:
            if self._bridge.interrupt is not None:
                interrupt, self._bridge.interrupt = self._bridge.interrupt, None
                raise interrupt

    def _explain(self, exc: Exception) -> NoReturn:
        rt = getattr(self, "rt", None)
        if rt is not None:
            try:
                reason, message = rt[b"killed"]()
            except (lupa.LuaError, TypeError):  # the VM was not stopped
                reason = None
            if reason is not None:
                raise Stopped(reason.decode(), message.decode(errors="replace")) from None
        raised = exc.args[0] if exc.args else exc
        text = raised.decode(errors="replace") if isinstance(raised, bytes) else str(raised)
        raise Error(text, INTERNAL, retryable=False) from None
