"""Problems of an app's entries: each says what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from saros.entries import AppError, Entry, Kind, Number, Problem, Reference, Registry, Text, load
from saros.model.errors import INVALID, Error

from .conftest import KINDS, Fail, Load, lines

# Each case: the entries of namespace `app` (the first one is in line 3) -> the problems.
ENTRIES = {
    "unknown kind": (
        "- {name: x, kind: workflow.lau}",
        ['app:x: the kind "workflow.lau" is unknown (app/_index.yaml:3) | did you mean "workflow.lua"?'],
    ),
    "kind of a plugin": (
        "- {name: x, kind: http.endpoint}",
        [
            'app:x: the kind "http.endpoint" is unknown (app/_index.yaml:3)'
            " | install the plugin saros-http, which supplies the kinds http.*"
        ],
    ),
    "kind like nothing": (
        "- {name: x, kind: banana}",
        [
            'app:x: the kind "banana" is unknown (app/_index.yaml:3) | the kinds are "env.variable", "function.lua",'
            ' "function.python", "library.lua", "process.host", "process.lua", "process.service",'
            ' "schedule", "temporal.client", "temporal.worker" and "workflow.lua"'
        ],
    ),
    "no kind": ("- name: x", ["app:x: the entry has no `kind` (app/_index.yaml:3)"]),
    "no name": ("- kind: process.host", ["the entry has no `name` (app/_index.yaml:3)"]),
    "name is a number": (
        "- kind: process.host\n  name: 7",
        ["`name` must be a string (app/_index.yaml:4)"],
    ),
    "odd name": (
        "- {name: 'a:b', kind: process.host}",
        [
            '"a:b" is not a name for an entry (app/_index.yaml:3)'
            ' | begin with a letter or digit, and use letters, digits, "_", "-" and "."'
        ],
    ),
    "entry is a text": ("- x", ["an entry must be a mapping with `name` and `kind` (app/_index.yaml:3)"]),
    "duplicate id": (
        "- {name: x, kind: process.host}\n- {name: x, kind: process.host}",
        [
            "app:x: the id is given twice, first at app/_index.yaml:3 (app/_index.yaml:4)"
            " | rename one of the two"
        ],
    ),
    "duplicate key": (
        "- name: x\n  kind: process.host\n  host: {}\n  host: {}",
        [
            "app:x: `host` is given twice, first in line 5 (app/_index.yaml:6) | remove one of the two",
        ],
    ),
    "missing key": (
        "- {name: x, kind: function.lua}",
        ['app:x: `source` is missing (app/_index.yaml:3) | it must be a file such as "file://main.lua"'],
    ),
    "empty key": (
        "- {name: x, kind: function.python, call: }",
        ['app:x: `call` is missing (app/_index.yaml:3) | it must be "package.module:callable"'],
    ),
    "wrong types": (
        """- name: x
  kind: function.lua
  source: file://a.lua
  modules: time
  imports: [a]
  method: 3
  meta: text""",
        [
            'app:x: `modules` must be a list, not "time" (app/_index.yaml:6) | write [time]',
            "app:x: `imports` must be a mapping of names, not a list (app/_index.yaml:7)",
            "app:x: `method` must be a name, not 3 (app/_index.yaml:8)",
            'app:x: `meta` must be a mapping, not "text" (app/_index.yaml:9)',
        ],
    ),
    "wrong nested types": (
        """- name: x
  kind: process.host
  host:
    max_processes: -1
    workers: true
  lifecycle:
    auto_start: "true"
    depends_on: [5]""",
        [
            "app:x: `host.max_processes` must be an integer of 0 or more, not -1 (app/_index.yaml:6)",
            "app:x: `host.workers` must be an integer of 1 or more, not true (app/_index.yaml:7)",
            'app:x: `lifecycle.auto_start` must be true or false, not "true" (app/_index.yaml:9)'
            " | remove the quotes",
            "app:x: `lifecycle.depends_on.0` must be the id of an entry, not 5 (app/_index.yaml:10)",
        ],
    ),
    "known parts of meta": (
        """- name: x
  kind: function.lua
  source: file://a.lua
  meta:
    temporal:
      activity:
        local: maybe
        worker: nobody""",
        [
            'app:x: `meta.temporal.activity.local` must be true or false, not "maybe" (app/_index.yaml:9)',
            'app:x: `meta.temporal.activity.worker` names "app:nobody", which does not exist'
            " (app/_index.yaml:10)",
        ],
    ),
    "bad durations": (
        """- name: x
  kind: temporal.client
  connection_timeout: soon
  keep_alive_time: 0s
  keep_alive_timeout: [1]""",
        [
            'app:x: `connection_timeout`: "soon" is not a duration: write it as "1h30m", "45s" or "500ms"'
            " (app/_index.yaml:5)",
            "app:x: `keep_alive_time` must be a duration of more than zero such as"
            ' "30s", or a number of milliseconds, not "0s" (app/_index.yaml:6)',
            "app:x: `keep_alive_timeout` must be a duration of more than zero such as"
            ' "30s", or a number of milliseconds, not a list (app/_index.yaml:7)',
        ],
    ),
    "numbers that are texts": (
        "- {name: x, kind: temporal.worker, task_queue: 12}",
        ["app:x: `task_queue` must be a string, not 12 (app/_index.yaml:3) | put it in quotes"],
    ),
    "choice": (
        "- {name: x, kind: temporal.client, auth: {type: password}}",
        [
            'app:x: `auth.type` must be "none", "api_key" or "mtls", not "password" (app/_index.yaml:3)',
        ],
    ),
    "versioning without a version": (
        "- name: x\n  kind: temporal.worker\n  worker_options:\n    use_versioning: true\n"
        "    default_versioning_behavior: pinned\n"
        "- {name: y, kind: temporal.worker,"
        " worker_options: {deployment_name: d, default_versioning_behavior: pinned}}",
        [
            "app:x: `worker_options.use_versioning` needs `deployment_name` and `build_id` (app/_index.yaml:6)",
            "app:y: `worker_options.deployment_name` needs `build_id` (app/_index.yaml:8)",
        ],
    ),
    "mtls without TLS": (
        "- name: x\n  kind: temporal.client\n  auth: {type: mtls, cert_file: c, key_file: k}\n"
        "  tls: {enabled: false}",
        ["app:x: `auth` of type mtls needs TLS, but `tls.enabled` is false (app/_index.yaml:6)"],
    ),
    "auth lacks its parts": (
        "- name: x\n  kind: temporal.client\n  auth: {type: api_key}\n"
        "- name: y\n  kind: temporal.client\n  auth: {type: mtls, cert_file: c}",
        [
            "app:x: `auth` of type api_key needs `api_key`, `api_key_env` or `api_key_file` (app/_index.yaml:5)",
            "app:y: `auth` of type mtls needs `key_file` or `key_pem` (app/_index.yaml:8)",
        ],
    ),
    "search attribute types": (
        "- {name: x, kind: temporal.client, search_attributes: {total: money}}",
        [
            'app:x: `search_attributes.total` must be "keyword", "text", "integer", "float", "boolean",'
            ' "time" or "keyword_list", not "money" (app/_index.yaml:3)',
        ],
    ),
    "dangling reference": (
        "- {name: x, kind: temporal.worker, client: temporl}\n- {name: temporal, kind: temporal.client}",
        [
            'app:x: `client` names "app:temporl", which does not exist (app/_index.yaml:3)'
            ' | did you mean "app:temporal"?',
        ],
    ),
    "reference to another namespace": (
        "- {name: x, kind: temporal.worker, client: other:temporal}\n"
        "- {name: temporal, kind: temporal.client}",
        [
            'app:x: `client` names "other:temporal", which does not exist (app/_index.yaml:3)'
            ' | did you mean "app:temporal"?',
        ],
    ),
    "reference to another kind": (
        "- {name: x, kind: temporal.worker, client: h}\n- {name: h, kind: process.host}",
        [
            'app:x: `client` must name a temporal.client, but "app:h" is a process.host (app/_index.yaml:3)',
        ],
    ),
    "reference to another role": (
        "- {name: x, kind: process.service, process: h}\n- {name: h, kind: process.host}",
        ['app:x: `process` must name a process, but "app:h" is a process.host (app/_index.yaml:3)'],
    ),
    "imports are Lua": (
        "- {name: x, kind: library.lua, source: 'file://a.lua', imports: {p: p}}\n"
        "- {name: p, kind: function.python, call: 'm:f'}",
        [
            'app:x: `imports.p` must name a lua entry, but "app:p" is a function.python (app/_index.yaml:3)',
        ],
    ),
    "a reference to a broken entry is not to blame": (
        "- {name: x, kind: temporal.worker, client: c}\n- {name: c, kind: temporal.clint}",
        ['app:c: the kind "temporal.clint" is unknown (app/_index.yaml:4) | did you mean "temporal.client"?'],
    ),
    "call": (
        "- {name: x, kind: function.python, call: shop.ship}",
        ['app:x: `call` must be "package.module:callable", not "shop.ship" (app/_index.yaml:3)'],
    ),
    "source without file://": (
        "- {name: x, kind: library.lua, source: a.lua}",
        [
            'app:x: `source` must be a file such as "file://main.lua", not "a.lua" (app/_index.yaml:3)'
            ' | write "file://a.lua"',
        ],
    ),
    "source inline": (
        "- name: x\n  kind: library.lua\n  source: |\n    return 1\n    -- two",
        ['app:x: `source` must be a file such as "file://main.lua", not a longer text (app/_index.yaml:5)'],
    ),
    "source is missing": (
        "- {name: x, kind: library.lua, source: 'file://nowhere.lua'}",
        [
            'app:x: `source`: the file does not exist: "nowhere.lua" (app/_index.yaml:3)'
            " | paths are relative to the YAML file",
        ],
    ),
    "source is a directory": (
        "- {name: x, kind: library.lua, source: 'file://.'}",
        [
            'app:x: `source`: the path is not a file: "." (app/_index.yaml:3)'
            " | paths are relative to the YAML file",
        ],
    ),
    "source above the app": (
        "- {name: x, kind: library.lua, source: 'file://../other.lua'}",
        [
            'app:x: `source`: the file is outside the app directory: "../other.lua" (app/_index.yaml:3)'
            " | paths are relative to the YAML file",
        ],
    ),
    "source is absolute": (
        "- {name: x, kind: library.lua, source: 'file:///etc/hosts'}",
        [
            'app:x: `source`: the file is outside the app directory: "/etc/hosts" (app/_index.yaml:3)'
            " | paths are relative to the YAML file",
        ],
    ),
    "two workers": (
        "- {name: v, kind: temporal.worker}\n- {name: w, kind: temporal.worker}\n"
        "- {name: x, kind: workflow.lua, source: 'file://a.lua'}",
        [
            "app:x: `meta.temporal.workflow.worker` is missing, and the app has several workers"
            ' (app/_index.yaml:5) | name "app:v" or "app:w"',
        ],
    ),
    "two clients": (
        "- {name: v, kind: temporal.client}\n- {name: w, kind: temporal.client}\n"
        "- {name: x, kind: temporal.worker}\n- {name: y, kind: temporal.worker, client: w}",
        [
            "app:x: `client` is missing, and the app has several clients"
            ' (app/_index.yaml:5) | name "app:v" or "app:w"',
        ],
    ),
    "two workflows of one type": (
        "- {name: x, kind: workflow.lua, source: 'file://a.lua'}\n"
        "- {name: y, kind: workflow.lua, source: 'file://a.lua',"
        " meta: {temporal: {workflow: {name: 'app:x'}}}}",
        [
            'app:y: the workflow type "app:x" already belongs to app:x, at app/_index.yaml:3'
            " (app/_index.yaml:4) | give each workflow a name of its own",
        ],
    ),
    "libraries in a circle": (
        "- {name: x, kind: library.lua, source: 'file://a.lua', imports: {y: y}}\n"
        "- {name: y, kind: library.lua, source: 'file://a.lua', imports: {z: z}}\n"
        "- {name: z, kind: library.lua, source: 'file://a.lua', imports: {x: x, z: z}}",
        [
            "app:x: the library imports itself: app:x → app:y → app:z → app:x (app/_index.yaml:3)",
            "app:z: the library imports itself: app:z → app:z (app/_index.yaml:5)",
        ],
    ),
    "services in a circle": (
        "- {name: x, kind: process.host, lifecycle: {depends_on: [y]}}\n"
        "- {name: y, kind: process.host, lifecycle: {depends_on: [x]}}",
        ["app:x: the entry waits for itself to start: app:x → app:y → app:x (app/_index.yaml:3)"],
    ),
    "schedules": (
        "- {name: f, kind: workflow.lua, source: 'file://a.lua'}\n"
        "- {name: p, kind: schedule, workflow: f}\n"
        "- {name: q, kind: schedule, workflow: f, cron: '* * * * *', every: 5m}\n"
        "- {name: r, kind: schedule, workflow: f, cron: often, timezone: Mars/Base}\n"
        "- {name: s, kind: schedule, workflow: p, every: 0}\n"
        "- {name: t, kind: schedule, workflow: f, every: 1500ms}",
        [
            "app:p: the schedule has neither `cron` nor `every` (app/_index.yaml:4)"
            ' | write for example cron: "0 9 * * 1-5", or every: 15m',
            "app:q: the schedule has both `cron` and `every` (app/_index.yaml:5)"
            ' | write for example cron: "0 9 * * 1-5", or every: 15m',
            'app:r: `cron`: "often" is not a cron expression that can be used: it does not have five fields'
            " (app/_index.yaml:6)"
            ' | give minute, hour, day of month, month and day of week, as in "0 9 * * 1-5"',
            'app:r: `timezone` is unknown: "Mars/Base" (app/_index.yaml:6)'
            ' | write a name such as "Europe/Berlin"',
            'app:s: `workflow` must name a workflow, but "app:p" is a schedule (app/_index.yaml:7)',
            "app:s: `every` must be a duration of more than zero such as"
            ' "30s", or a number of milliseconds, not 0 (app/_index.yaml:7)',
            "app:t: `every` is not a whole number of seconds: 1500ms (app/_index.yaml:8)"
            " | write for example 15m or 30s",
        ],
    ),
}


@pytest.mark.parametrize(("entries", "expected"), ENTRIES.values(), ids=ENTRIES)
def test_problems_of_entries(problems: Fail, entries: str, expected: list[str]) -> None:
    assert lines(problems(f"namespace: app\nentries:\n{entries}\n")) == expected


def test_all_problems_are_reported_at_once_and_in_order(write: Callable[[dict[str, str]], Path]) -> None:
    root = write(
        {
            "b.yaml": "namespace: [\n",
            "a.yaml": "namespace: a\nentries:\n- {name: x, kind: nope}\n- {name: y, kind: schedule}\n",
            "c/d.yaml": "namespace: a\nname: x\nkind: process.host\n",
        }
    )
    with pytest.raises(AppError) as caught:
        load(root, KINDS, {})
    error = caught.value
    assert isinstance(error, Error)
    assert (error.kind, error.retryable, error.where) == (INVALID, False, None)
    assert [problem.where for problem in error.problems] == [
        "app/a.yaml:3",
        "app/a.yaml:4",
        "app/b.yaml:2:1",
        "app/c/d.yaml:1",
    ]
    assert len(str(error).splitlines()) == 4
    assert "a:x: the id is given twice, first at app/a.yaml:3 (app/c/d.yaml:1)" in str(error)


def test_a_single_problem_is_an_error_with_place_and_hint(app: Load) -> None:
    with pytest.raises(AppError) as caught:
        app("namespace: app\nname: x\nkind: proces.host\n")
    error = caught.value
    assert (error.message, error.where, error.hint) == (
        'app:x: the kind "proces.host" is unknown',
        "app/_index.yaml:3",
        'did you mean "process.host"?',
    )


def test_modules_are_checked_when_they_are_known(problems: Fail, app: Load) -> None:
    text = (
        "namespace: app\nname: x\nkind: library.lua\nsource: file://a.lua\n"
        "imports: {y: x2}\nmodules:\n- tiem\n- y\n- time\n- process.registry.zzz\n"
        "---\nnamespace: app\nname: x2\nkind: library.lua\nsource: file://a.lua\n"
    )
    assert lines(problems(text, known_modules={"time", "json"})) == [
        'app:x: there is no module "tiem" (app/_index.yaml:7) | did you mean "time"?',
        'app:x: there is no module "process.registry.zzz" (app/_index.yaml:10)',
    ]
    assert app(text).warnings == []


def test_a_kind_checks_what_its_keys_cannot_say(problems: Fail) -> None:
    def check(entry: Entry, registry: Registry) -> Iterable[Problem]:
        server = registry.resolve(entry.data["server"], entry.namespace)
        assert server is not None
        if entry.get("port", 0) < server.data["port"]:
            yield entry.problem("the port is too low", "port", "raise it")

    kinds = (
        Kind("mail.server", role="service", fields={"port": Number(required=True)}),
        Kind(
            "mail.box",
            role="config",
            fields={
                "server": Reference(kinds=("mail.server",), required=True),
                "port": Number(),
                "to": Text(),
            },
            check=check,
        ),
    )
    text = """
        namespace: app
        entries:
        - {name: good, kind: mail.server, port: 5}
        - {name: bad, kind: mail.server}
        - {name: a, kind: mail.box, server: good}
        - {name: b, kind: mail.box, server: bad}
        - {name: c, kind: mail.box, server: good, to: 1}
        """
    # `check` does not run for `b`, whose server is broken, or for `c`, which is broken itself.
    assert lines(problems(text, kinds=kinds)) == [
        "app:bad: `port` is missing (app/_index.yaml:4) | it must be a number",
        "app:a: the port is too low (app/_index.yaml:5) | raise it",
        "app:c: `to` must be a string, not 1 (app/_index.yaml:7) | put it in quotes",
    ]


def test_kinds_and_modules_of_other_runtimes_are_reported_once(write: Callable[[str], Path]) -> None:
    path = write(
        """
        version: "2.0"
        namespace: app
        entries:
        - {name: about, kind: ns.definition}
        - {name: needs, kind: ns.dependency}
        - {name: more, kind: ns.dependency}
        - {name: one, kind: db.sql.postgres}
        - {name: two, kind: db.sql.postgres}
        - {name: files, kind: fs.directory}
        - {name: f, kind: function.lua, source: file://a.lua, modules: [sql, io]}
        - {name: g, kind: function.lua, source: file://a.lua, modules: [sql]}
        """,
    )
    with pytest.raises(AppError) as caught:
        load(path, KINDS, {}, known_modules=("time",), absent={"io": "io is not there"})
    said = [str(problem).partition(" (")[0] for problem in caught.value.problems]
    assert said == [
        'app:one: the kind "db.sql.postgres" belongs to another runtime; Saros has no databases',
        'app:files: the kind "fs.directory" belongs to another runtime; Saros has no files',
        'app:f: the module "sql" belongs to another runtime; Saros has no databases',
        "app:f: io is not there",
    ]
    assert caught.value.rest is not None
    warnings = [warning.message for warning in caught.value.rest.warnings]
    assert [text.partition(":")[0].partition(";")[0] for text in warnings] == [
        '`version` is "2.0"',
        'the kind "ns.definition" has no meaning here',
        'the kind "ns.dependency" has no meaning here',
    ]


def test_an_app_with_foreign_metadata_is_loaded(app: Load) -> None:
    entries = "- {name: a, kind: ns.definition}\n- {name: h, kind: process.host}\n"
    assert list(app(f"version: 3\nnamespace: app\nentries:\n{entries}").entries) == ["app:h"]
