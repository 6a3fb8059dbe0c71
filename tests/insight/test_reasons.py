"""The sentence that says why an execution does not move."""

from __future__ import annotations

from typing import Any

import pytest

from saros.insight.reasons import reason, span
from saros.interfaces.insight import ACTIVITY, WORKFLOW, Queue, Slots, Stack, Worker
from saros.interfaces.insight.pending import (
    Failure,
    Parked,
    Pending,
    PendingActivity,
    PendingChild,
    PendingTask,
    PendingTimer,
)
from saros.model.timing import SECOND

NOW = 1_000_000 * SECOND


def _run(**parts: Any) -> Pending:
    return Pending("order-1", "r-1", parts.pop("status", "running"), "orders", **parts)


def _charge(**parts: Any) -> PendingActivity:
    return PendingActivity(1, "app:charge", "orders", scheduled=NOW - 60 * SECOND, **parts)


def _queues(pollers: int) -> list[Queue]:
    return [Queue("orders", kind, 1, pollers=pollers) for kind in (WORKFLOW, ACTIVITY)]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "less than 1 s"),
        (0, "less than 1 s"),
        (40, "40 s"),
        (60, "1 min"),
        (12_000, "3 h 20 min"),
        (86_400, "1 d"),
        (86_401, "1 d"),
        (93_784, "1 d 2 h"),
    ],
)
def test_spans(seconds: int, text: str) -> None:
    assert span(seconds * SECOND) == text


def test_a_failing_activity_shows_its_failure_and_its_next_attempt() -> None:
    failure = Failure("503\x1b[31m\nred", "Unavailable")
    charge = _charge(attempt=8, failure=failure, next_attempt=NOW + 40 * SECOND)
    assert reason(_run(activities=[charge]), NOW, _queues(1)) == (
        "app:charge has failed 7 times, last: Unavailable: 503\\x1b[31m\\nred; next attempt in 40 s"
    )


def test_an_activity_that_was_asked_to_end_says_so() -> None:
    for attempt in (1, 2):
        charge = _charge(attempt=attempt, started=NOW - 5 * SECOND, canceled=True)
        said = reason(_run(activities=[charge]), NOW)
        assert "has been running for 5 s" in said
        assert said.endswith("; its cancellation was requested, but it has not ended yet")


def test_a_queue_without_workers_comes_before_what_waits_on_it() -> None:
    task = _run(task=PendingTask("orders", NOW - SECOND))
    assert reason(task, NOW, _queues(0)) == "no worker polls task queue orders"
    assert reason(task, NOW, _queues(1)).startswith(
        "its workflow task has waited 1 s for a worker of task queue orders"
    )
    assert reason(task, NOW) == "its workflow task has waited 1 s for a worker of task queue orders"
    other = [Queue("other", "workflow", 0)]  # the backend does not tell of everybody's queues
    assert reason(task, NOW, other) == reason(task, NOW)
    charge = _run(activities=[_charge()])
    assert reason(charge, NOW, _queues(0)).startswith(
        "no worker polls task queue orders, on which app:charge"
    )
    assert reason(charge, NOW, _queues(1)) == "app:charge has waited 1 min for a worker of task queue orders"


def test_a_parked_run_says_when_it_is_tried_again_or_how_to_release_it() -> None:
    later = Parked("code changed", 2, NOW - 60 * SECOND, NOW + 5 * SECOND)
    assert reason(_run(parked=later), NOW) == (
        "parked for 1 min, because its workflow task has failed 2 times: code changed; next try in 5 s"
    )
    assert reason(_run(parked=Parked("silent")), NOW).endswith("release it with `saros release order-1`")


def test_what_else_it_waits_for() -> None:
    assert reason(_run(status="timed_out"), NOW) == "it has ended: timed out"
    assert reason(_run(begins=NOW + 40 * SECOND), NOW) == "it begins in 40 s"
    timer = PendingTimer(1, NOW, NOW + 60 * SECOND)
    assert reason(_run(timers=[timer]), NOW) == "waits for a timer, due in 1 min"
    said = reason(_run(timers=[timer]), NOW, stack=Stack(topics=["approve"]))
    assert said == "waits for the signal approve or a timer, due in 1 min"


def test_ids_that_clients_choose_cannot_write_to_a_terminal() -> None:
    said = reason(_run(children=[PendingChild(1, "a\x1b[2J\nb", "app:w")]), NOW)
    assert said.isprintable()
    assert "waits for its child a\\x1b[2J\\nb" in said


def test_busy_workers_are_told() -> None:
    pending = _run(activities=[_charge()])

    def told(*used: int) -> str:
        workers = [Worker(str(n), "1@a", task_queues=["orders"], slots=[Slots(ACTIVITY, n, 3)]) for n in used]
        return reason(pending, NOW, _queues(2), workers=workers)

    waits = "app:charge has waited 1 min for a worker of task queue orders"
    assert told(3, 3) == f"{waits}; all 6 slots of its 2 workers are taken"
    assert told(3) == f"{waits}; all 3 slots of its worker are taken"
    assert told(3, 2) == told() == waits


def test_a_parked_run_says_whether_its_workers_differ_or_are_gone() -> None:
    run = _run(parked=Parked("no workflow app:order", 2, NOW - 60 * SECOND, NOW + 5 * SECOND))
    here, there = Worker("1", "1@a", task_queues=["orders"]), Worker("2", "2@a", task_queues=["orders"])
    here.app, there.app = "aaaa", "bbbb"
    differ = "; next try in 5 s; its workers run different code (see `saros workers`)"
    assert reason(run, NOW, _queues(2), workers=[here, there]).endswith(differ)
    there.task_queues = ["mails"]
    for known in ([here, here], [here, there], None):
        assert reason(run, NOW, _queues(1), workers=known).endswith("; next try in 5 s")
    assert reason(run, NOW, _queues(0), workers=[]).endswith("; no worker polls task queue orders now")


def test_a_queue_is_full_when_its_own_slots_are_taken() -> None:
    pending = _run(activities=[_charge()])

    def told(*slots: Slots) -> str:
        worker = Worker("1", "1@a", task_queues=["orders", "mails"], slots=list(slots))
        return reason(pending, NOW, _queues(1), workers=[worker])

    full, free = Slots(ACTIVITY, 1, 1, "orders"), Slots(ACTIVITY, 0, 9, "mails")
    assert told(full, free).endswith("; the slot of its worker is taken")
    assert "taken" not in told(Slots(ACTIVITY, 0, 1, "orders"), Slots(ACTIVITY, 9, 9, "mails"))


def test_workers_that_ask_for_no_activities_are_not_said_to_be_missing() -> None:
    queues = [Queue("orders", WORKFLOW, 0, pollers=1), Queue("orders", ACTIVITY, 1, pollers=0)]
    said = reason(_run(activities=[_charge()]), NOW, queues)
    assert said.startswith("app:charge has waited 1 min for a worker of task queue orders; ")
    assert "no worker polls" not in said
    assert "slots are taken" in said


def test_what_a_lost_worker_has_begun_says_so() -> None:
    begun = NOW - 60 * SECOND
    charge = _charge(started=begun, worker="1@a")
    task = PendingTask("orders", begun, started=begun, worker="1@a")
    here, other = Worker("1", "1@a", task_queues=["orders"]), Worker("2", "2@a", task_queues=["orders"])
    for pending in (_run(activities=[charge]), _run(task=task)):
        assert "; 1@a no longer asks for tasks" in reason(pending, NOW, _queues(1), workers=[other])
        assert "; 1@a no longer asks for tasks" in reason(pending, NOW, _queues(0), workers=[])
        for known in ([here, other], None):
            assert "no longer" not in reason(pending, NOW, _queues(1), workers=known)
        assert "no longer" not in reason(pending, NOW, workers=[other])  # who serves the queue is not known
        assert "no longer" not in reason(pending, NOW - 50 * SECOND, _queues(1), workers=[other])


def test_an_attempt_that_was_lost_with_its_worker_is_told_apart_from_one_that_failed() -> None:
    charge = _charge(attempt=2, started=NOW - 5 * SECOND, worker="2@a")
    assert reason(_run(activities=[charge]), NOW) == (
        "app:charge has lost its worker once; attempt 2 has been running for 5 s on 2@a"
    )


def test_who_waits_without_a_worker_for_what_comes_next_says_so() -> None:
    timer = PendingTimer(1, NOW, NOW + 60 * SECOND)
    for pending in (_run(timers=[timer]), _run()):
        assert "no worker polls task queue orders" in reason(pending, NOW, _queues(0))
        assert "no worker" not in reason(pending, NOW, _queues(1))
