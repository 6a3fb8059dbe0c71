"""Laws that hold for every execution, no matter what happened to it and its workers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from saros.app.app import App
from saros.engine.replay import load
from saros.model.execution import COMPLETED, HistoryPage
from saros.model.records import CLOSING_OPS, DONE, EVENT_OPS

from .programs import Op

INTERRUPTED = ["error", "Canceled"]


async def check_histories(app: App) -> int:
    """Check every run that the backend holds, and return the number of events.

    :raises AssertionError: if a law is broken; names the run and the law.
    """
    events = 0
    async for info in app.list():
        page = await app.backend.history(info.id, info.run_id)
        events += len(page.records)
        completions_count_once(page)
        state_is_the_replay_of_history(app, page)
    return events


def completions_count_once(page: HistoryPage) -> None:
    asked: set[int] = set()
    settled: Counter[int] = Counter()
    for record in page.records:
        if record.op == DONE:
            assert record.ref in asked, f"{page.run.id}: completion of #{record.ref}, which nobody asked for"
            settled[record.ref] += 1
        elif record.op not in EVENT_OPS:
            asked.add(record.ref)
    twice = [ref for ref, times in settled.items() if times > 1]
    assert not twice, f"{page.run.id}: completed more than once: {twice}"
    closings = [number for number, record in enumerate(page.records, 1) if record.op in CLOSING_OPS]
    assert closings in ([], [len(page.records)]), (
        f"{page.run.id}: closed at {closings} of {len(page.records)}"
    )


def state_is_the_replay_of_history(app: App, page: HistoryPage) -> None:
    live = load(page.run, app.deployment, page.records)
    try:
        assert live.length == len(page.records)
        if page.status == COMPLETED:
            assert live.closed
    finally:
        live.close()


def check_log(ops: list[Op], state: Any, cancelled: bool) -> None:
    """Check that every operation gave the expected result, in the order of the program.

    :param cancelled: whether the execution was asked to cancel; then any operation may be interrupted instead.
    """
    check_block(ops, state["log"], state["branches"], cancelled, forks=iter(range(1, 1000)))


def check_block(ops: list[Op], log: list[Any], branches: list[Any], cancelled: bool, forks: Any) -> None:
    assert len(log) == len(ops), (ops, log)
    for op, noted in zip(ops, log, strict=True):
        if cancelled and noted == INTERRUPTED:
            continue
        assert noted[0] == "ok", (op, noted)
        value = noted[1] if len(noted) > 1 else None
        assert _right(op, value, cancelled), (op, noted)
        if op["op"] == "child":
            check_log(op["ops"], value, cancelled)
        elif op["op"] == "fork":
            check_block(op["ops"], branches[value - 1], branches, cancelled, forks)


def _right(op: Op, value: Any, cancelled: bool) -> bool:
    n = op.get("n", 0)
    wanted: dict[str, Any] = {
        "call": [n],
        "quick": [n],
        "slow_near": [n],
        "far": [n],
        "sleep": [n],
        "race": ["called", "late"],
        "abandon": ["Canceled", "done"],
        "abandon_near": ["Canceled", "done"],
        "stop_timer": [True, False] if cancelled else [True],
        "version": [n + 1],
        "memo": [True],
        "tell": [True],
        "continue": ["continued"],
    }
    if op["op"] in wanted:
        return value in wanted[op["op"]]
    if op["op"].startswith("flaky"):  # an attempt that was lost with its worker counts
        return isinstance(value, int) and value > n
    if op["op"] == "fork":
        return isinstance(value, int)
    if op["op"] == "child":
        return isinstance(value, dict)
    return isinstance(value, str if op["op"].startswith("receive") else int)


def check_messages(got: list[Any], sent: dict[str, int], told: dict[str, int], cancelled: bool) -> None:
    """Check that no message is lost or comes twice, and that those of one sender come in the order of sending.

    :param sent: number of messages by outside sender; all were accepted.
    :param told: number of messages by child, for the children whose end the program saw.
    """
    by_sender: dict[str, list[int]] = {}
    for sender, number in got:
        by_sender.setdefault(sender, []).append(number)
    for sender, numbers in by_sender.items():
        assert numbers == sorted(set(numbers)), f"messages of {sender} came as {numbers}"
    for sender, number in sent.items():
        assert by_sender.get(sender, []) == list(range(1, number + 1)), f"{number} messages of {sender}"
    if not cancelled:
        for sender, number in told.items():
            assert by_sender.get(sender, []) == list(range(1, number + 1)), f"{number} messages of {sender}"


def children(ops: list[Op], state: Any) -> dict[str, int]:
    """Return the number of messages by child, for the program's own children that completed."""
    found: dict[str, int] = {}

    def look(ops: list[Op], log: list[Any]) -> None:
        for op, noted in zip(ops, log, strict=True):
            if op["op"] == "child" and noted[0] == "ok":
                found[op["name"]] = noted[1]["told"]
            elif op["op"] == "fork" and noted[0] == "ok":
                look(op["ops"], state["branches"][noted[1] - 1])

    look(ops, state["log"])
    return found
