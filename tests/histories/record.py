"""Re-record the histories beside this file, from executions that run now.

    python tests/histories/record.py memory://                          # needs nothing else
    python tests/histories/record.py redis://localhost:6379/0           # an empty server
    python tests/histories/record.py temporal://localhost:7233/default  # `temporal server start-dev`, just started

A recording is a promise: somewhere executions like it are running, and code that cannot replay it breaks them.
Record to add histories for a new example, behaviour or backend, or when a release drops compatibility on purpose;
never to make `test_replay.py` pass.

- ``orders/``: histories of every workflow of `examples/orders`. In virtual time they run to the end; in real time,
  those that sleep for hours are recorded while they sleep.
- ``apps/NAME/``: histories of a behaviour of the conformance suite, with the source of its app at that time.

Files are named ``BACKEND-WORKFLOW-NUMBER.json``. They contain no names of hosts or processes; replay needs none.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from saros import Handle
from saros.model.errors import NOT_FOUND, Error
from saros.model.execution import RUNNING, new_id
from saros_testing import TestApp, eventually
from saros_testing.conformance import BEHAVIOURS, Behaviour, Case

HERE = Path(__file__).parent
ORDERS = HERE.parents[1] / "examples" / "orders"

BEHAVIOURS_RECORDED = (
    *("call_arguments", "call_unknown", "call_retried", "futures", "future_canceled", "calls_in_parallel"),
    *("local_calls", "context_flows", "values_round_trip", "errors_returned", "errors_structured_raise"),
    *("signals_in_order", "listeners", "send_not_found", "workflows_talk", "names", "first_messages"),
    *("signals_survive_continue", "child_called", "child_exit", "parent_close", "processes"),
    *("child_waited_for", "child_cancelled", "cooperative_cancel", "cancel_as_event", "terminates"),
    *("workflow_retry", "attributes", "continues", "upgrades", "version_new", "version_old", "version_later"),
    *("updates", "side_effects", "side_effect_randomness", "imports", "timers_in_order"),
)
ON_TEMPORAL = (
    *("call_retried", "futures", "local_calls", "listeners", "child_called", "child_cancelled"),
    *("continues", "version_new", "version_old", "version_later", "updates", "side_effects"),
    "side_effect_randomness",
)
"""The behaviours recorded on Temporal: fewer, since its histories are long."""


class Recording(Case):
    """A case whose ids name the recording, and whose apps can be read after it has run."""

    def __init__(self, url: str, path: Path, name: str) -> None:
        super().__init__(url, path)
        self.apps: list[TestApp] = []
        self._ids = (f"{name}-{number}" for number in itertools.count(1))
        self.given: list[str] = []

    async def app(self, main: str = "", *, into: Path | None = None, **parts: Any) -> TestApp:
        self.apps.append(await super().app(main, into=into, **parts))
        return self.apps[-1]

    def id(self) -> str:
        self.given.append(next(self._ids))
        return self.given[-1]


def scheme_of(url: str) -> str:
    return url.partition(":")[0]


def url_for(url: str, name: str) -> str:
    """Return a URL that gives each recording its own prefix, if the backend has prefixes."""
    return f"{url}?prefix=record-{name}-{new_id()[:8]}" if scheme_of(url) == "redis" else url


async def documents(app: TestApp, ids: list[str]) -> list[tuple[str, Any]]:
    """Return (workflow, history) of the executions of an app, oldest first.

    :param ids: the ids to export on Temporal, where all recordings share a namespace; some may have no execution.
    """
    if app.app.backend.url.startswith("temporal:"):
        infos = [await app.app.get(id).describe() for id in ids if await exists(app, id)]
    else:
        infos = [info async for info in app.app.list()]
        infos.sort(key=lambda info: (info.start_time, info.id, info.attempt))
    return [(info.type.partition(":")[2], await app.app.get(info.id, info.run_id).export()) for info in infos]


async def exists(app: TestApp, id: str) -> bool:
    try:
        await app.app.get(id).describe()
    except Error as error:
        if error.kind != NOT_FOUND:
            raise
        return False
    return True


def write(folder: Path, scheme: str, histories: list[tuple[str, Any]]) -> int:
    """Replace the histories of a backend in a folder, and return their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{scheme}-*.json"):
        old.unlink()
    numbers: Counter[str] = Counter()
    for workflow, document in histories:
        numbers[workflow] += 1
        text = json.dumps(without_machine(document), indent=1, ensure_ascii=False) + "\n"
        (folder / f"{scheme}-{workflow}-{numbers[workflow]}.json").write_text(text, "utf-8")
    return len(histories)


def without_machine(document: Any) -> Any:
    """Return a history without the names of hosts and files that Temporal records.

    :raises ValueError: if the history still names this machine.
    """
    text = json.dumps(document, ensure_ascii=False)
    text = re.sub(rf"\d+@{re.escape(socket.gethostname())}(/[0-9a-f]{{4}})?", "worker", text)
    text = re.sub(r', "stackTrace": "(?:[^"\\]|\\.)*"', "", text)  # Python's; Lua's is in the details
    if socket.gethostname() in text or str(HERE.parents[1]) in text or tempfile.gettempdir() in text:
        raise ValueError(f"this history names this machine: {text}")
    return json.loads(text)


async def record_behaviour(behaviour: Behaviour, url: str) -> int:
    """Run a behaviour, and save its app and its histories."""
    scheme, folder = scheme_of(url), HERE / "apps" / behaviour.name
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / behaviour.name
        path.mkdir()
        case = Recording(url_for(url, behaviour.name), path, behaviour.name)
        try:
            await behaviour.scenario(case)
            (source,) = (index.parent for index in path.glob("*/_index.yaml"))
            if not case.apps:  # it opened the app itself, more than once
                shared = f"memory://{path.name}" if scheme == "memory" else case.url
                case.apps.append(
                    await case._stack.enter_async_context(TestApp(source, shared, workers=False))
                )
            histories = await documents(case.apps[0], case.given)
        finally:
            await case.close()
        shutil.rmtree(folder / source.name, ignore_errors=True)
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    return write(folder, scheme, histories)


# --- examples/orders --------------------------------------------------------------------------------

ORDER = {"id": "123", "customer_id": "c-42", "total": 99.5, "shipping_address": "12 High Street"}
SAGA = {
    "items": [{"sku": "lamp"}, {"sku": "bulb"}],
    "payment": {"amount": 20, "customer": "c-42"},
    "shipping": {"order_id": "123", "address": "12 High Street"},
}
CART = {**ORDER, "items": [{"sku": "lamp", "price": 40, "count": 2}]}
LARGE = {**CART, "items": [{"sku": "sofa", "price": 2000}]}
STARTS: tuple[tuple[str, dict[str, Any], tuple[tuple[str, Any], ...]], ...] = (
    ("order_workflow", ORDER, ()),
    ("order_workflow", {**ORDER, "customer_id": "c-broke"}, ()),
    ("order_workflow", {**ORDER, "shipping_address": None}, ()),
    ("order_saga", SAGA, ()),
    ("order_saga", {**SAGA, "items": [{"sku": "sold-out"}]}, ()),
    ("order_saga", {**SAGA, "payment": {"amount": 20, "customer": "c-broke"}}, ()),
    ("order_saga", {**SAGA, "shipping": {"order_id": "123"}}, ()),
    ("approval", ORDER, (("hurry", "please"), ("approve", {"approved_by": "admin", "comment": "fine"}))),
    ("approval", ORDER, (("cancel", {"reason": "changed my mind"}),)),
    ("approval", ORDER, ()),
    ("checkout", CART, ()),
    ("checkout", LARGE, ()),
)


async def record_orders(url: str) -> int:
    """Run every workflow of the example, with every kind of outcome."""
    skips = scheme_of(url) == "memory"
    place = "memory://?time=skip" if skips else url_for(url, "orders")
    async with TestApp(ORDERS, place) as app:
        orders = [
            await app.start(f"app:{entry}", given, id=f"{entry}-{number}", messages=messages)
            for number, (entry, given, messages) in enumerate(STARTS, 1)
        ]
        for order in orders:
            await eventually(at_rest(order, skips), f"{order.id} has ended, or sleeps")
        histories = await documents(app, [order.id for order in orders])
    return write(HERE / "orders", scheme_of(url), histories)


def at_rest(order: Handle, skips: bool) -> Callable[[], Awaitable[bool]]:
    """Return a check whether the order has ended or, in real time, waits for a timer or a child."""

    async def check() -> bool:
        if (await order.describe()).status != RUNNING:
            return True
        return not skips and bool(
            {"TimerStarted", "ChildStarted"} & {line.name for line in await order.history()}
        )

    return check


async def record(url: str, only: list[str]) -> None:
    """:param only: the names of what to record; if empty, everything is recorded."""
    known = ["orders", *(ON_TEMPORAL if scheme_of(url) == "temporal" else BEHAVIOURS_RECORDED)]
    behaviours = {behaviour.name: behaviour for behaviour in BEHAVIOURS}
    wanted = [name for name in known if name in only or not only]
    count = 0
    for name in wanted:
        count += await (record_orders(url) if name == "orders" else record_behaviour(behaviours[name], url))
    print(f"{url}: {count} histories of {', '.join(wanted)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", nargs="+", help="URL of a backend")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=["orders", *BEHAVIOURS_RECORDED],
        help="record only this; may be repeated",
    )
    arguments = parser.parse_args()
    for url in arguments.url:
        asyncio.run(record(url, arguments.only))
