"""Valid apps: their entries, defaults and look-ups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from saros.entries import Kind, Registry, Text, load
from saros.model.errors import NOT_FOUND, Error

from .conftest import KINDS, Load

ORDERS = """
    version: "1.0"
    namespace: app
    entries:
      - name: temporal
        kind: temporal.client
        tq_prefix: dev-
      - name: worker
        kind: temporal.worker
        client: app:temporal
        task_queue: orders
        lifecycle: {auto_start: yes, depends_on: [temporal]}
      - name: order_workflow
        kind: workflow.lua
        source: file://a.lua
        method: main
        modules:
          - funcs
          - time
        meta:
          comment: the main flow
          temporal:
            workflow:
              worker: app:worker
              name: Order
      - name: charge
        kind: function.lua
        source: file://b.lua
        imports: {money: lib.money:rounding}
        meta: {temporal: {activity: {worker: worker, local: true}}}
      - name: ship
        kind: function.python
        call: shop.shipping:ship
    """
LIBRARY = """
    namespace: lib.money
    name: rounding
    kind: library.lua
    source: file://../c.lua
    """


@pytest.fixture
def orders(app: Load) -> Registry:
    return app({"_index.yaml": ORDERS, "lib/money.yml": LIBRARY})


def test_entries_are_found_in_all_files(orders: Registry) -> None:
    assert list(orders.entries) == [
        "app:temporal",
        "app:worker",
        "app:order_workflow",
        "app:charge",
        "app:ship",
        "lib.money:rounding",
    ]
    assert orders.warnings == []


def test_workflow(orders: Registry) -> None:
    entry = orders.entries["app:order_workflow"]
    assert (entry.namespace, entry.name, entry.kind) == ("app", "order_workflow", "workflow.lua")
    assert (entry.role, entry.runtime) == ("workflow", "lua")
    assert (entry.method, entry.modules, entry.imports) == ("main", ("funcs", "time"), {})
    assert entry.source_path == orders.root / "a.lua"
    assert (entry.type_name, entry.worker, entry.local) == ("Order", "app:worker", False)
    assert entry.meta["comment"] == "the main flow"
    assert entry.get("meta.temporal.workflow.worker") == "app:worker"
    assert entry.get("meta.nothing.here", 7) == 7
    assert entry.file == orders.root / "_index.yaml"


def test_function(orders: Registry) -> None:
    entry = orders.entries["app:charge"]
    assert (entry.role, entry.method, entry.modules) == ("function", None, ())
    assert entry.imports == {"money": "lib.money:rounding"}
    assert (entry.worker, entry.local) == ("app:worker", True)
    assert entry.type_name == "app:charge"


def test_python_function(orders: Registry) -> None:
    entry = orders.entries["app:ship"]
    assert (entry.runtime, entry.data["call"]) == ("python", "shop.shipping:ship")
    assert (entry.source_path, entry.meta, entry.worker) == (None, {}, None)


def test_defaults_and_references_are_filled_in(orders: Registry) -> None:
    assert orders.entries["app:temporal"].get("address") == "localhost:7233"
    lifecycle = orders.entries["app:worker"].get("lifecycle")
    assert lifecycle == {"auto_start": True, "depends_on": ["app:temporal"]}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (None, 12),
        ("kind", 13),
        ("modules", 16),
        ("modules.1", 18),
        ("meta.temporal.workflow.worker", 23),
        ("meta.temporal.activity", 21),
        ("nothing", 12),
    ],
)
def test_every_key_knows_its_line(orders: Registry, path: str | None, line: int) -> None:
    assert orders.entries["app:order_workflow"].where(path) == f"app/_index.yaml:{line}"


def test_lookups(orders: Registry) -> None:
    workflow = orders.entries["app:order_workflow"]
    assert orders.get("app:order_workflow") is workflow
    assert orders.get("order_workflow") is None
    assert orders.resolve("order_workflow", "app") is workflow
    assert orders.resolve("app:order_workflow", "other") is workflow
    assert orders.resolve("order_workflow", "other") is None
    assert orders.by_type("Order") is workflow
    assert orders.by_type("app:order_workflow") is None
    assert [entry.id for entry in orders.of_role("function")] == ["app:charge", "app:ship"]
    assert orders.of_kind("workflow.lua") == [workflow]


def test_task_queues(orders: Registry) -> None:
    assert orders.task_queue("app:worker") == "dev-orders"
    assert orders.task_queue("") == "default"
    with pytest.raises(Error, match='no worker "app:ship"') as caught:
        orders.task_queue("app:ship")
    assert caught.value.kind == NOT_FOUND


WORKER = "- {name: %s, kind: temporal.worker}"
FLOW = "- {name: flow, kind: workflow.lua, source: 'file://a.lua', meta: {temporal: {workflow: {%s}}}}"


@pytest.mark.parametrize(
    ("entries", "worker", "queue"),
    [
        ([FLOW % ""], "", "default"),
        ([FLOW % "", WORKER % "one"], "app:one", "app:one"),
        ([FLOW % "worker: two", WORKER % "one", WORKER % "two"], "app:two", "app:two"),
    ],
)
def test_worker_of_a_workflow(app: Load, entries: list[str], worker: str, queue: str) -> None:
    registry = app("\n".join(["namespace: app", "entries:", *entries]))
    assert registry.worker_of(registry.entries["app:flow"]) == worker
    assert registry.task_queue(worker) == queue


def test_a_schedule_runs_where_its_workflow_runs(app: Load) -> None:
    schedule = "- {name: daily, kind: schedule, workflow: flow, cron: '0 9 * * *', timezone: UTC}"
    entries = [schedule, FLOW % "worker: two", WORKER % "one", WORKER % "two"]
    registry = app("\n".join(["namespace: app", "entries:", *entries]))
    daily = registry.entries["app:daily"]
    assert registry.worker_of(daily) == "app:two"
    assert (daily.get("workflow"), daily.get("overlap")) == ("app:flow", "skip")


def test_a_worker_without_client_uses_the_only_one(app: Load) -> None:
    client = "- {name: temporal, kind: temporal.client, tq_prefix: x/}"
    registry = app("\n".join(["namespace: app", "entries:", WORKER % "w", client]))
    assert registry.task_queue("app:w") == "x/app:w"


def test_services_have_restart_defaults(app: Load) -> None:
    registry = app("""
        namespace: app
        entries:
          - {name: host, kind: process.host, host: {max_processes: 10}}
          - {name: actor, kind: process.lua, source: file://a.lua}
          - name: service
            kind: process.service
            process: actor
            host: host
            lifecycle: {restart: {initial_delay: 5s, max_delay: 60000}}
        """)
    assert registry.entries["app:service"].data == {
        "process": "app:actor",
        "host": "app:host",
        "lifecycle": {
            "auto_start": True,
            "restart": {
                "max_attempts": 0,
                "initial_delay": "5s",
                "max_delay": 60000,
                "backoff_factor": 2.0,
                "jitter": 0.0,
            },
            "start_timeout": "10s",
            "stop_timeout": "10s",
            "stable_threshold": "5s",
        },
        "meta": {},
    }


def test_data_of_two_entries_is_not_shared(app: Load) -> None:
    registry = app("\n".join(["namespace: app", "entries:", WORKER % "one", WORKER % "two"]))
    registry.entries["app:one"].get("lifecycle")["auto_start"] = False
    assert registry.entries["app:two"].get("lifecycle.auto_start") is True


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("values.yaml", "kind: Deployment\nname: web\n"),
        ("list.yaml", "- namespace\n- entries\n"),
        ("scalar.yaml", "namespace\n"),
        ("empty.yaml", ""),
        ("two.yaml", "a: 1\n---\nb: !Ref x\n"),
        (".hidden/x.yaml", "namespace: [\n"),
        ("notes.txt", "namespace: [\n"),
    ],
)
def test_other_files_are_left_alone(app: Load, name: str, text: str) -> None:
    registry = app({"_index.yaml": ORDERS, "lib/money.yml": LIBRARY, name: text})
    assert len(registry.entries) == 6
    assert registry.warnings == []


def test_several_documents_in_one_file(app: Load) -> None:
    host = "name: host\nkind: process.host\n"
    registry = app(f"namespace: one\n{host}---\nnamespace: two\n{host}")
    assert list(registry.entries) == ["one:host", "two:host"]
    assert registry.entries["two:host"].where("kind") == "app/_index.yaml:7"


@pytest.mark.parametrize("given", ["app", "./app", "../{parent}/app", "app/"])
def test_relative_paths_are_shown_as_given(
    write: Callable[[Mapping[str, str]], Path], monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    root = write({"sub/x.yaml": "namespace: app\nname: host\nkind: process.host\n"})
    monkeypatch.chdir(root.parent)
    given = given.format(parent=root.parent.name)
    where = load(given, KINDS, {}).entries["app:host"].where()
    assert where == f"{given.removeprefix('./').rstrip('/')}/sub/x.yaml:1"
    monkeypatch.chdir(root)
    assert load(".", KINDS, {}).entries["app:host"].where() == "sub/x.yaml:1"


def test_links_inside_the_app_are_followed(write: Callable[[str], Path]) -> None:
    root = write("namespace: app\nname: f\nkind: function.lua\nsource: file://link.lua\n")
    (root / "link.lua").symlink_to("a.lua")
    assert load(root, KINDS, {}).entries["app:f"].source_path == (root / "a.lua").resolve()


def test_the_app_may_be_a_link(write: Callable[[str], Path]) -> None:
    root = write("namespace: app\nname: f\nkind: function.lua\nsource: file://a.lua\n")
    (root.parent / "current").symlink_to(root)
    entry = load(root.parent / "current", KINDS, {}).entries["app:f"]
    assert entry.source_path == (root / "a.lua").resolve()


def test_a_plugin_declares_kinds_of_its_own(app: Load) -> None:
    kind = Kind("mail.server", role="service", fields={"host": Text(required=True)})
    registry = app("namespace: app\nname: m\nkind: mail.server\nhost: h\n", kinds=(kind,))
    assert registry.entries["app:m"].data == {"host": "h", "lifecycle": {"auto_start": True}, "meta": {}}


def test_two_kinds_of_one_name_are_refused(app: Load) -> None:
    twice = (Kind("mail", role="service"), Kind("mail", role="config"))
    with pytest.raises(Error, match='the kind "mail" is declared twice'):
        app("namespace: app\nname: m\nkind: mail\n", kinds=twice)


def test_hidden_files_are_no_part_of_an_app(app: Load) -> None:
    good = "namespace: app\r\nname: x\r\nkind: process.host\r\n"
    broken = "\x00this: [is no YAML"
    files = dict.fromkeys(
        (".#_index.yaml", "._index.yaml", ".x.yml", "#x.yaml#", "x.yaml~", ".git/x.yaml"), broken
    )
    registry = app({"_index.yaml": "\ufeff" + good, **files})
    assert (list(registry.entries), registry.warnings) == (["app:x"], [])
