"""Type hints of ``function.python``: arguments arrive as the hinted types, or the call fails as Invalid."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from saros.model.errors import INVALID, Error
from saros_testing import TestApp, lua_app

TOOLS = """
from __future__ import annotations

import dataclasses, datetime as dt, decimal, enum, functools, uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, Union

import msgspec
import pydantic

if TYPE_CHECKING:
    from nowhere import Nothing

class Color(str, enum.Enum):
    RED = "red"

class Level(enum.IntEnum):
    LOW = 1

class Rate(enum.Enum):
    HALF = 0.5

@dataclasses.dataclass
class Line:
    sku: str
    count: int = 1
    options: dict[str, int] = dataclasses.field(default_factory=dict)

@dataclasses.dataclass
class Order:
    lines: list[Line]
    color: Color = Color.RED
    parent: Optional[Order] = None

@dataclasses.dataclass
class Odd:
    key: str | bytes
    below: Odd | None = None

class Paid(msgspec.Struct, tag=True, rename="camel"):
    paid_at: dt.datetime

class Lost(msgspec.Struct, tag=True):
    why: str

class Item(pydantic.BaseModel):
    sku: str = pydantic.Field(alias="SKU", min_length=1)
    price: decimal.Decimal
    tags: dict[str, str] = {}

class Point(TypedDict):
    x: int

class Pair(NamedTuple):
    a: int
    b: str

Sku = NewType("Sku", str)

class Plain:
    pass

def told(value):
    return type(value).__name__, value

def order(order: Order): return told(order)
def color(color: Color): return told(color)
def level(level: Level): return told(level)
def rate(rate: Rate): return told(rate)
def odd(odd: Odd): return told(odd)
def event(event: Paid | Lost): return told(event)
def item(item: Item): return told(item)
def items(items: list[Item]): return told(items)
def maybe_item(item: Item | None): return told(item)
def item_or_line(found: Item | Line): return told(found)
def line_or_order(found: list[Line | Order]): return [told(each)[0] for each in found]
def when(when: dt.datetime): return told(when)
def day(day: dt.date): return told(day)
def key(key: uuid.UUID): return told(key)
def price(price: decimal.Decimal): return told(price)
def text(text: str): return told(text)
def number(number: int): return told(number)
def real(real: float): return told(real)
def data(data: bytes): return told(data)
def either(either: str | bytes): return told(either)
def union(either: Union[int, str, None]): return told(either)
def mode(mode: Literal["fast", "slow"]): return told(mode)
def mapping(mapping: Mapping[str, int]): return told(mapping)
def keyed(keyed: dict[int, str]): return told(sorted(keyed))
def sequence(sequence: Sequence[Color]): return [told(each)[0] for each in sequence]
def point(point: Point): return told(point)
def pair(pair: Pair): return told(pair)
def sku(sku: Sku): return told(sku)
def bounded(count: Annotated[int, msgspec.Meta(ge=1)]): return told(count)
def unhinted(value): return told(value)
def anything(value: Any): return told(value)
def unknown(value: Nothing, count: int): return told(value), told(count)
def plain(value: Plain): return told(value)
def defaults(sku: str, count: int = 7, color: Color | None = None): return sku, count, color
def rest(first: str, *others: Level): return first, [told(each)[0] for each in others]
def keywords(first: str, *, loud: bool = False, **more: int): return first, loud, more
async def later(level: Level): return told(level)

def passing(function):
    @functools.wraps(function)
    def inner(*args): return function(*args)
    return inner

@passing
def wrapped(level: Level): return told(level)

class Service:
    def method(self, level: Level): return told(level)
    def __call__(self, level: Level): return told(level)

service = Service()
method = service.method
partial = functools.partial(lambda prefix, level: (prefix, level), "p")
"""
NAMES = [
    line.split("(")[0].split()[-1] for line in TOOLS.splitlines() if line.startswith(("def ", "async def "))
]
NAMES += ["service", "method", "partial"]


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Calls a function of the app; returns its value, or the error that it raised."""
    path = sys.path.copy()
    with asyncio.Runner() as runner:
        entries = {name.replace("_", "-"): f"typed_tools:{name}" for name in NAMES if name != "told"}
        root = lua_app(tmp_path_factory.mktemp("typed"), python=entries, files={"typed_tools.py": TOOLS})
        app = runner.run(TestApp(root).__aenter__())

        async def scenario(name: str, args: tuple[Any, ...]) -> Any:
            try:
                return await app.call(f"app:{name.replace('_', '-')}", *args)
            except Error as error:
                return error

        yield lambda name, *args: runner.run(scenario(name, args))
        runner.run(app.__aexit__(None, None, None))
    sys.path[:] = path


LINE = {"sku": "lamp", "count": 1, "options": {}}


@pytest.mark.parametrize(
    ("name", "given", "kind", "back"),
    [
        ("order", {"lines": [{"sku": "lamp"}]}, "Order", {"lines": [LINE], "color": "red", "parent": None}),
        ("order", {"lines": [], "parent": {"lines": []}}, "Order",
         {"lines": [], "color": "red", "parent": {"lines": [], "color": "red", "parent": None}}),
        ("order", {"lines": [{"sku": "a", "options": []}]}, "Order",
         {"lines": [{"sku": "a", "count": 1, "options": {}}], "color": "red", "parent": None}),
        ("color", "red", "Color", "red"),
        ("level", 1, "Level", 1),
        ("rate", 0.5, "Rate", 0.5),
        ("odd", {"key": b"\xff", "below": {"key": "k"}}, "Odd",
         {"key": b"\xff", "below": {"key": "k", "below": None}}),
        ("event", {"type": "Paid", "paidAt": "2026-01-02T03:04:05Z"}, "Paid",
         {"type": "Paid", "paidAt": "2026-01-02T03:04:05Z"}),
        ("event", {"type": "Lost", "why": "rain"}, "Lost", {"type": "Lost", "why": "rain"}),
        ("item", {"SKU": "lamp", "price": "1.10"}, "Item", {"SKU": "lamp", "price": "1.10", "tags": {}}),
        ("item", {"SKU": "lamp", "price": 2, "tags": []}, "Item", {"SKU": "lamp", "price": "2", "tags": {}}),
        ("items", [{"SKU": "lamp", "price": "1"}], "list", [{"SKU": "lamp", "price": "1", "tags": {}}]),
        ("maybe_item", None, "NoneType", None),
        ("maybe_item", {"SKU": "a", "price": "1"}, "Item", {"SKU": "a", "price": "1", "tags": {}}),
        ("item_or_line", {"SKU": "a", "price": "1"}, "Item", {"SKU": "a", "price": "1", "tags": {}}),
        ("item_or_line", {"sku": "lamp"}, "Line", LINE),
        ("when", "2026-01-02T03:04:05+01:00", "datetime", "2026-01-02T03:04:05+01:00"),
        ("day", "2026-01-02", "date", "2026-01-02"),
        ("key", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "UUID", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        ("price", "1.10", "Decimal", "1.10"),
        ("price", 1, "Decimal", "1"),
        ("text", "abc", "str", "abc"),
        ("real", 1, "float", 1.0),
        ("data", b"\xff", "bytes", b"\xff"),
        ("either", b"\xff", "bytes", b"\xff"),
        ("either", "a", "str", "a"),
        ("union", 3, "int", 3),
        ("union", None, "NoneType", None),
        ("mode", "fast", "str", "fast"),
        ("mapping", {"a": 1}, "dict", {"a": 1}),
        ("mapping", [], "dict", {}),
        ("keyed", {"2": "b"}, "list", [2]),
        ("point", {"x": 1}, "dict", {"x": 1}),
        ("pair", [1, "b"], "Pair", [1, "b"]),
        ("sku", "lamp", "str", "lamp"),
        ("bounded", 1, "int", 1),
        ("unhinted", {"a": [1]}, "dict", {"a": [1]}),
        ("anything", [1, None], "list", [1, None]),
        ("later", 1, "Level", 1),
        ("wrapped", 1, "Level", 1),
        ("service", 1, "Level", 1),
        ("method", 1, "Level", 1),
    ],
)  # fmt: skip
def test_arguments_arrive_as_their_hints_say(call: Any, name: str, given: Any, kind: str, back: Any) -> None:
    found = call(name, given)
    assert found == [kind, back]
    assert type(found[1]) is type(back)


@pytest.mark.parametrize(
    ("name", "args", "told"),
    [
        ("order", [{"lines": [{"sku": 1}]}], ["argument 1 (order)", "lines[0].sku"]),
        ("order", [{"lines": 3}], ["argument 1 (order)", "lines"]),
        ("order", [{}], ["argument 1 (order)", "lines"]),
        ("order", [{"lines": [], "color": "blue"}], ["argument 1 (order)", "color", "blue"]),
        ("color", ["blue"], ["argument 1 (color)", "blue"]),
        ("rate", [0.7], ["argument 1 (rate)"]),
        ("odd", [{"key": 1}], ["argument 1 (odd), at key: "]),
        ("odd", [{"key": "k", "below": {"key": 1}}], ["argument 1 (odd), at below.key: "]),
        ("line_or_order", [[{"sku": "a"}, 1]], ["argument 1 (found), at [1]: "]),
        ("odd", [{}], ["argument 1 (odd)", "key"]),
        ("event", [{"type": "Sold"}], ["argument 1 (event)"]),
        ("item", [{"SKU": "", "price": "x"}], ["argument 1 (item)", "SKU", "price"]),
        ("items", [[{"SKU": "a"}]], ["argument 1 (items)", "price"]),
        ("when", ["tomorrow"], ["argument 1 (when)"]),
        ("key", ["x"], ["argument 1 (key)"]),
        ("price", ["x"], ["argument 1 (price)"]),
        ("number", ["7"], ["argument 1 (number)"]),
        ("number", [7.5], ["argument 1 (number)"]),
        ("number", [None], ["argument 1 (number)"]),
        ("number", [True], ["argument 1 (number)"]),
        ("text", [b"\xff"], ["argument 1 (text)"]),
        ("data", ["abcd"], ["argument 1 (data)"]),
        ("either", [1], ["argument 1 (either)"]),
        ("mode", ["odd"], ["argument 1 (mode)", "odd"]),
        ("mapping", [[1]], ["argument 1 (mapping)"]),
        ("bounded", [0], ["argument 1 (count)"]),
        ("unknown", [1, "x"], ["argument 2 (count)"]),
        ("plain", [{}], ["argument 1 (value)", "Plain"]),
        ("rest", ["a", 1, 9], ["argument 3 (others)"]),
        ("defaults", [], ["sku"]),
        ("defaults", ["a", 1, None, 4], ["too many"]),
        ("later", ["x"], ["argument 1 (level)"]),
    ],
)
def test_what_does_not_fit_is_invalid_and_names_the_argument(
    call: Any, name: str, args: list[Any], told: list[str]
) -> None:
    error = call(name, *args)
    assert isinstance(error, Error), error
    assert (error.kind, error.retryable) == (INVALID, False)
    assert error.message.startswith(f"app:{name.replace('_', '-')}: ")
    for text in told:
        assert text in error.message
    assert "\n" not in error.message


def test_defaults_and_the_rest(call: Any) -> None:
    assert call("defaults", "a") == ["a", 7, None]
    assert call("defaults", "a", None) == ["a", 7, None]  # Lua's nil counts as an argument that was not given
    assert call("defaults", "a", None, "red") == ["a", 7, "red"]
    assert call("rest", "a") == ["a", []]
    assert call("rest", "a", 1, 1) == ["a", ["Level", "Level"]]
    assert call("keywords", "a") == ["a", False, {}]
    assert call("unknown", {"a": 1}, 2) == [["dict", {"a": 1}], ["int", 2]]
    assert call("partial", 1) == ["p", 1]
    assert call("sequence", ["red"]) == ["Color"]
    assert call("line_or_order", [{"sku": "a"}, {"lines": []}]) == ["Line", "Order"]
