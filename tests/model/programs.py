"""Random programs for `app/main.lua`, and random happenings while they run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import strategies as st

Op = dict[str, Any]

PLAIN = (
    "call",
    "quick",
    "flaky",
    "flaky_near",
    "slow_near",
    "far",
    "abandon_near",
    "sleep",
    "race",
    "abandon",
    "stop_timer",
    "version",
    "side_effect",
    "random",
    "memo",
)
RECEIVES = ("receive", "receive_soon")
HAPPENS = (
    "signal",
    "signal",
    "signal",
    "cancel",
    "forget",
    "stop",
    "start",
    "join",
    "leave",
    "pause",
    "query",
)


class Happening(NamedTuple):
    """Something that happens to a program.

    :param what: one of `HAPPENS`.
    :param who: the number of the program.
    :param how: the number of the sender, or the length in milliseconds.
    """

    what: str
    who: int
    how: int


class Scenario(NamedTuple):
    programs: list[list[Op]]
    happenings: list[Happening]


def plain(*names: str) -> st.SearchStrategy[Op]:
    return st.builds(lambda op, n: {"op": op, "n": n}, st.sampled_from(names), st.integers(0, 3))


def block(ops: st.SearchStrategy[Op], most: int) -> st.SearchStrategy[list[Op]]:
    return st.lists(ops, max_size=most)


def nested(op: str, ops: st.SearchStrategy[list[Op]]) -> st.SearchStrategy[Op]:
    return st.builds(lambda ops: {"op": op, "ops": ops}, ops)


CONTINUE = st.just({"op": "continue"})
IN_CHILD = plain(*PLAIN, "tell", "tell")
GRANDCHILD = nested("child", block(IN_CHILD, 3))
CHILD = nested("child", block(IN_CHILD | nested("fork", block(IN_CHILD, 3)) | CONTINUE | GRANDCHILD, 5))
FORK = nested("fork", block(plain(*PLAIN, *RECEIVES) | CHILD, 4))
PROGRAM = block(plain(*PLAIN, *RECEIVES) | plain(*PLAIN, *RECEIVES) | CHILD | FORK | CONTINUE, 10)

SCENARIOS = st.builds(
    Scenario,
    st.lists(PROGRAM, min_size=1, max_size=3),
    st.lists(
        st.builds(Happening, st.sampled_from(HAPPENS), st.integers(0, 2), st.integers(0, 3)),
        min_size=5,
        max_size=30,
    ),
)


def named(ops: list[Op], name: str) -> list[Op]:
    """Return the program with names for its children, who sign their messages with them."""
    result = []
    for number, op in enumerate(ops):
        own = f"{name}.{number}"
        if "ops" in op:
            op = {**op, "ops": named(op["ops"], own)}
        if op["op"] == "child":
            op = {**op, "name": own}
        result.append(op)
    return result


def every(ops: list[Op]) -> Iterator[Op]:
    """Yield all operations, including those of children and branches."""
    for op in ops:
        yield op
        yield from every(op.get("ops", []))


def count(scenario: Scenario) -> Counter[str]:
    found = Counter(op["op"] for program in scenario.programs for op in every(program))
    return found + Counter(happening.what for happening in scenario.happenings)
