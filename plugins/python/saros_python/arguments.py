"""Converts the arguments of Python callables to their type hints.

A parameter without a hint, or with an unsupported one, gets its argument unchanged: plain data.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

from saros.model.errors import INVALID, Error
from saros.model.text import cut, one_line

from .hints import Convert, converter, misfit


class _Parameter(NamedTuple):
    name: str
    convert: Convert | None
    default: Any = inspect.Parameter.empty


class Signature:
    """The positional parameters of a callable.

    :param where: the callable's name in errors.
    """

    def __init__(self, function: Callable[..., Any], where: str) -> None:
        self._where = where
        self._parameters: list[_Parameter] = []
        self._rest: _Parameter | None = None
        self._bind: Callable[..., Any] | None = None
        self._counts = range(0)  # numbers of arguments that need no conversion
        self._plain = True  # no hint asks for a conversion
        self._wrapped = hasattr(function, "__wrapped__")
        try:
            signature = inspect.signature(function)
        except (ValueError, TypeError):  # a callable in C without a signature
            return
        self._bind = signature.bind
        hints = _hints(function, signature)
        for parameter in signature.parameters.values():
            convert = converter(hints[parameter.name]) if parameter.name in hints else None
            found = _Parameter(parameter.name, convert, parameter.default)
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = found
            elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                self._parameters.append(found)
        self._counts = self._fitting(signature)
        given = [*self._parameters, *([self._rest] if self._rest else [])]
        self._plain = all(each.convert is None for each in given)

    def _fitting(self, signature: inspect.Signature) -> range:
        empty = inspect.Parameter.empty
        if any(p.kind is p.KEYWORD_ONLY and p.default is empty for p in signature.parameters.values()):
            return range(0)
        least = sum(parameter.default is empty for parameter in self._parameters)
        return range(least, len(self._parameters) + 1)

    def converted(self, arguments: list[Any]) -> list[Any]:
        """Return the converted arguments.

        :raises Error: INVALID, naming the argument that does not fit.
        """
        if self._bind is not None and len(arguments) not in self._counts:
            try:
                self._bind(*arguments)
            except TypeError as error:
                if self._wrapped:  # the wrapper may add arguments itself
                    return arguments
                raise self._refused(str(error)) from None
        if self._plain:
            return arguments
        return [self._converted(number, value) for number, value in enumerate(arguments)]

    def _converted(self, number: int, value: Any) -> Any:
        given = self._parameters[number] if number < len(self._parameters) else self._rest
        if given is None:
            return value
        if value is None and given.default is not inspect.Parameter.empty:
            return self._absent(given)
        if given.convert is None:
            return value
        try:
            return given.convert(value)
        except ValueError as error:
            raise self._refused(_told(error, f"argument {number + 1} ({given.name})")) from error

    def _absent(self, given: _Parameter) -> Any:
        """Return the value of nil for a parameter with a default: None if its hint accepts that, else the default."""
        if given.convert is None:
            return None
        try:
            return given.convert(None)
        except ValueError:
            return given.default

    def _refused(self, why: str) -> Error:
        return Error(f"{self._where}: {one_line(cut(why))}", INVALID, retryable=False)


def _told(error: ValueError, name: str) -> str:
    """Describe the error, with its place in the argument `name`."""
    text, place = misfit(error)
    return f"{name}, at {place.lstrip('.')}: {text}" if place else f"{name}: {text}"


def _hints(function: Any, signature: inspect.Signature) -> dict[str, Any]:
    """Return the hints of the parameters as types, without those that cannot be resolved at run time."""
    globals_ = _globals(function)
    found: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.annotation is parameter.empty:
            continue
        holder = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
        try:
            found |= typing.get_type_hints(holder, globals_, include_extras=True)
        except Exception:  # evaluates the user's hints, which may use names under `if TYPE_CHECKING`
            continue
    return found


def _globals(function: Any) -> dict[str, Any]:
    """Return the names that the hints of a callable may use."""
    function = inspect.unwrap(function)
    if isinstance(function, functools.partial):
        return _globals(function.func)
    if inspect.isclass(function):
        return vars(sys.modules[function.__module__])
    if not inspect.isroutine(function):
        return _globals(type(function).__call__)
    found: dict[str, Any] = getattr(function, "__globals__", {})
    return found
