"""Entries of kind ``function.python``, which do real I/O.

The module of ``call: package.module:callable`` comes from the app's directory first. An async callable runs on the
event loop, any other in a worker thread. Both get the call's arguments by position, converted to their type hints.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import importlib
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from saros import hookimpl
from saros.app.hookspecs import RuntimePlugin
from saros.interfaces.activations import Watched, watch
from saros.interfaces.runtime import CallScope
from saros.model import values
from saros.model.errors import CodeError

from .arguments import Signature
from .tasks import harmless_tasks
from .threads import in_thread

if TYPE_CHECKING:
    from types import ModuleType

    from saros.entries import Entry, Kind, Registry
    from saros.interfaces.module import Module
    from saros.model.raw import Raw
    from saros.model.values import Json


log = logging.getLogger("saros.python")

SLOTS = 100
"""The number of concurrent attempts of a worker that does not set it."""
_roots: set[str] = set()
"""The app directories that this process imports modules from."""


class PythonFunctions:
    """See `saros.interfaces.runtime.Functions`."""

    def __init__(self, root: str, threads: int = 100) -> None:
        self._root = root
        self._threads = asyncio.Semaphore(threads)
        self._found: dict[str, tuple[Callable[..., Any], Signature, bool]] = {}

    def check(self, entry: Entry) -> None:
        self._callable(entry)

    async def call(self, entry: Entry, args: Raw, scope: CallScope) -> Json:
        function, signature, is_async = self._callable(entry)
        arguments = values.decode(args)
        scope.enter()
        scope.entry = entry.id
        if is_async:
            with harmless_tasks():
                result = await Watched(function(*signature.converted(arguments)), scope)
        else:
            work = functools.partial(_call, function, signature, arguments, scope)
            result = await self._in_thread(entry.id, work, scope)
        return values.encode(result)

    async def _in_thread(self, name: str, work: Callable[[], Any], scope: CallScope) -> Any:
        """Run a callable in a thread, and pass its heartbeats to the event loop."""
        if self._threads.locked():
            with scope.queued():
                await self._threads.acquire()
        else:
            await self._threads.acquire()
        loop, beat = asyncio.get_running_loop(), scope.heartbeat
        if beat is not None:

            def cross(details: Json) -> None:
                loop.call_soon_threadsafe(beat, details)

            scope.heartbeat = cross
        context = contextvars.copy_context()
        scope.blocking = True
        try:
            result = await in_thread(functools.partial(context.run, work))
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                log.warning("%s is still running in its thread, although its attempt has ended", name)
            raise
        finally:
            scope.blocking = False
            self._threads.release()
        if not inspect.isawaitable(result):
            return result
        with harmless_tasks():
            return await Watched(_awaited(result), scope)

    def _callable(self, entry: Entry) -> tuple[Callable[..., Any], Signature, bool]:
        name = str(entry.data["call"])
        found = self._found.get(name)
        if found is None:
            function = self._import(name, entry)
            is_async = inspect.iscoroutinefunction(function)
            found = self._found[name] = function, Signature(function, entry.id), is_async
        return found

    def _import(self, name: str, entry: Entry) -> Callable[..., Any]:
        module_name, _, path = name.partition(":")
        self._come_first()
        try:
            found: Any = importlib.import_module(module_name)
            for part in path.split("."):
                found = getattr(found, part)
        except (Exception, SystemExit) as exc:  # a user's module may raise anything while it is imported
            why = (
                str(exc) if isinstance(exc, (ImportError, AttributeError)) else f"{type(exc).__name__}: {exc}"
            )
            raise CodeError(f"{entry.id} cannot be called: {why}", where=entry.where("call")) from exc
        if not callable(found):
            raise CodeError(f"{entry.id}: {name} is not callable", where=entry.where("call"))
        result: Callable[..., Any] = found
        return result

    def _come_first(self) -> None:
        """Make imports find this app's modules, even if another app has modules with the same names."""
        if self._root in sys.path:
            sys.path.remove(self._root)
        sys.path.insert(0, self._root)
        others = tuple(root + os.sep for root in _roots - {self._root})
        _roots.add(self._root)
        for name, module in list(sys.modules.items()) if others else ():
            file = getattr(module, "__file__", None) or ""
            if file.startswith(others) and not file.startswith(self._root + os.sep) and self._has(name):
                del sys.modules[name]  # code that has imported it keeps it

    def _has(self, module: str) -> bool:
        path = os.path.join(self._root, module.partition(".")[0])
        return os.path.isfile(f"{path}.py") or os.path.isdir(path)


def _call(function: Callable[..., Any], signature: Signature, arguments: list[Any], scope: CallScope) -> Any:
    """Convert the arguments and call the function, both in the thread: a user's validator may be slow, too."""
    with watch.aside(scope):
        return function(*signature.converted(arguments))


async def _awaited(result: Any) -> Any:
    return await result


@contextlib.contextmanager
def fresh_modules(root: str) -> Iterator[None]:
    """Import the modules of an app directory afresh within the context; an exception restores the old ones."""

    def own() -> dict[str, ModuleType]:
        inside = root + os.sep
        found = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
        return {
            name: sys.modules[name]
            for name, file in found.items()
            if file.startswith(inside) and "site-packages" not in file and name != "__main__"
        }

    old = own()
    for name, module in old.items():
        del sys.modules[name]
        cached = getattr(module, "__cached__", None)
        if cached and os.path.exists(cached):
            os.remove(cached)  # Python does not notice a change within the same second that keeps the length
    importlib.invalidate_caches()
    try:
        yield
    except BaseException:
        for name in own():
            del sys.modules[name]
        sys.modules.update(old)
        raise


def _make(registry: Registry, modules: Mapping[str, Module]) -> PythonFunctions:
    return PythonFunctions(str(registry.root), _slots(registry))


def _slots(registry: Registry) -> int:
    """Return the number of concurrent attempts of the app's workers, which is also the number of threads."""
    options = [worker.get("worker_options", {}) for worker in registry.of_kind("temporal.worker")] or [{}]
    sizes = ("max_concurrent_activity_execution_size", "max_concurrent_local_activity_execution_size")
    return sum(int(each.get(size) or SLOTS) for each in options for size in sizes)


@hookimpl
def saros_runtimes() -> Sequence[RuntimePlugin]:
    return [RuntimePlugin("python", _make, functions=True, reloading=fresh_modules)]


@hookimpl
def saros_kinds() -> Sequence[Kind]:
    from .kinds import FUNCTION_PYTHON

    return [FUNCTION_PYTHON]
