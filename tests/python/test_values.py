"""The values that Python code may pass as inputs and return as results."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import msgspec
import pydantic
import pytest

from saros.model import values
from saros.model.errors import Error


class Color(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    RED = "red"


class Name(enum.StrEnum):
    ANN = "ann"


class Level(enum.IntEnum):
    LOW = 1


class Plain(enum.Enum):
    ONE = {"deep": [1.5]}  # noqa: RUF012
    NOTHING = None


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Paid(msgspec.Struct, tag="paid", rename="camel"):
    paid_at: int
    left_out: int | msgspec.UnsetType = msgspec.UNSET


class Pair(msgspec.Struct, array_like=True):
    a: int
    b: Color


class Item(pydantic.BaseModel):
    sku: str = pydantic.Field(alias="SKU")
    price: Decimal
    color: Color = Color.RED
    raw: bytes = b"\xff"


class Numbers(pydantic.RootModel[list[int]]):
    pass


@dataclasses.dataclass
class Order:
    items: list[Item]
    placed: dt.datetime
    level: Level = Level.LOW


ITEM = Item(SKU="lamp", price=Decimal("1.10"))
ITEM_DATA = {"SKU": "lamp", "price": "1.10", "color": "red", "raw": b"\xff"}


@pytest.mark.parametrize(
    ("given", "data"),
    [
        (Color.RED, "red"),
        (Name.ANN, "ann"),
        (Level.LOW, 1),
        (Plain.ONE, {"deep": [1.5]}),
        (Plain.NOTHING, None),
        (Right.READ | Right.WRITE, 3),
        ({Color.RED: Color.RED}, {"red": "red"}),
        (Decimal("1.10"), "1.10"),
        (Decimal(3), "3"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2026-01-02T03:04:05Z"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Paid(1), {"type": "paid", "paidAt": 1}),
        (Pair(1, Color.RED), [1, "red"]),
        (ITEM, ITEM_DATA),
        (Numbers([1]), [1]),
        (
            Order([ITEM], dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
            {"items": [ITEM_DATA], "placed": "2026-01-02T00:00:00Z", "level": 1},
        ),
    ],
    ids=str,
)
def test_what_stands_for_data(given: Any, data: Any) -> None:
    found = values.decode(values.encode([given]))[0]
    assert found == data
    assert type(found) is type(data)


@pytest.mark.parametrize("given", [object(), {1, 2}, Item, Color, {Level.LOW: 1}, Plain])
def test_what_is_no_data_is_refused(given: Any) -> None:
    with pytest.raises(Error, match=r"value\.x is "):
        values.encode({"x": given})


class Broken(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no items")


def test_an_argument_that_cannot_be_read_is_named_by_its_number() -> None:
    with pytest.raises(Error, match=r"^argument 2 is what cannot be read \(RuntimeError: no items\)"):
        values.encode_args([1, Broken()])


def test_keys_and_texts_must_be_valid_unicode() -> None:
    assert values.encode({"ключ": "é"}) == '{"ключ":"é"}'.encode()
    for given in ({"\ud800": 1}, {"a": "\ud800"}, "\ud800"):
        with pytest.raises(Error, match="lone surrogate"):
            values.encode(given)


def test_the_size_of_a_text_in_json() -> None:
    text = "".join(map(chr, range(0x100))) + "\u2028\U0001f600" + '"\\\x7f'
    for part in (text, text * 3, "", *text):
        assert values.quoted_size(part.encode()) == len(msgspec.json.encode(part))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"\\u0024bin":"YQ=="}', b"a"),
        (b'[{"$bin":"YQ=="}]', [b"a"]),
        (b"[9223372036854775808]", [9223372036854775808.0]),
        (b"[-9223372036854775808]", [-9223372036854775808]),
        (b'["1234567890123456789012"]', ["1234567890123456789012"]),
    ],
)
def test_texts_that_need_a_closer_look(text: bytes, value: Any) -> None:
    assert values.decode(text) == value
    assert values.decode(msgspec.Raw(text)) == value
