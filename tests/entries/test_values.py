"""From YAML scalars and the environment to values."""

from __future__ import annotations

import pytest

from saros.entries import Duration, Flag, Kind, Number, Text

from .conftest import Fail, Load

KIND = Kind(
    "thing",
    role="config",
    fields={
        "text": Text(),
        "must": Text(required=True),
        "flag": Flag(),
        "count": Number(whole=True, least=0, most=9999),
        "rate": Number(),
        "wait": Duration(),
    },
)


def thing(key: str) -> str:
    return f"namespace: app\nname: x\nkind: thing\nmust: x\n{key}\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("12", 12),
        ("0x1F", 31),
        ("017", 17),
        ("02142", 2142),
        ("-007", -7),
        ("0o17", 15),
        ("0b11", "0b11"),
        ("!!str 02142", "02142"),
        ("!!str 1e3", "1e3"),
        ("!!str yes", "yes"),
        ("9223372036854775807", 9223372036854775807),
        ("190:20:30", "190:20:30"),
        ("1_000", 1000),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("12:30", "12:30"),
        ("1:2.5", "1:2.5"),
        ("2024-01-31", "2024-01-31"),
        ("'12'", "12"),
        ("'1e3'", "1e3"),
        ("=", "="),
        ("1.2.3", "1.2.3"),
        ("[1, {on: 2, 404: x}]", [1, {"on": 2, "404": "x"}]),
        ("|\n    two\n    lines", "two\nlines\n"),
    ],
)
def test_scalars(app: Load, text: str, value: object) -> None:
    got = app(thing(f"meta:\n  x: {text}"), kinds=(KIND,)).entries["app:x"].meta["x"]
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    "text", ["123e4567", "-1e999", "12345678901234567890", "9" * 5000, "0xFFFFFFFFFFFFFFFFF"]
)
def test_numbers_that_are_too_large_are_refused(problems: Fail, text: str) -> None:
    [problem] = problems(thing(f"meta:\n  x: {text}"), kinds=(KIND,))
    assert problem.message.endswith("is too large for a number")
    assert (problem.where, problem.hint) == ("app/_index.yaml:6", "put it in quotes to make it a string")


def test_words_that_were_booleans_are_texts_with_a_warning(app: Load) -> None:
    text = thing("flag: yes\ntext: off\nmeta:\n  country: no\n  list: [on]\n  quoted: 'no'\n  good: true")
    registry = app(text, kinds=(KIND,))
    entry = registry.entries["app:x"]
    assert (entry.data["flag"], entry.data["text"], entry.meta["country"]) == (True, "off", "no")
    assert [(warning.message, warning.where) for warning in registry.warnings] == [
        ('`text` is the string "off"', "app/_index.yaml:6"),
        ('`meta.country` is the string "no"', "app/_index.yaml:8"),
        ('`meta.list.0` is the string "on"', "app/_index.yaml:9"),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("text: ${env:TEXT}", "hello"),
        ('text: "a ${env:TEXT} b ${env:TEXT}"', "a hello b hello"),
        ("text: ${env:NOTHING|spare}", "spare"),
        ("text: ${env:NOTHING|}", ""),
        ("text: ${env:EMPTY|spare}", ""),
        ("text: ${env:NUMBER}", "12"),
        ("text: redis://${env:NOTHING|localhost}:${env:PORT|6379}/0", "redis://localhost:6379/0"),
        ("text: $5 {env:TEXT} ${other}", "$5 {env:TEXT} ${other}"),
        ("text: yes", "yes"),
        ("flag: on", True),
        ("flag: No", False),
        ("flag: ${env:FLAG}", True),
        ("count: ${env:NUMBER}", 12),
        ("rate: ${env:NUMBER}", 12),
        ("rate: ${env:RATE}", 0.25),
        ("wait: ${env:NOTHING|30s}", "30s"),
        ("wait: ${env:NUMBER}", 12),
        ("wait: 1.5", 1.5),
    ],
)
def test_values_take_the_type_of_their_key(app: Load, key: str, value: object) -> None:
    env = {"TEXT": "hello", "NUMBER": "12", "RATE": "0.25", "FLAG": "true", "EMPTY": ""}
    got = app(thing(key), env=env, kinds=(KIND,)).entries["app:x"].get(key.partition(":")[0])
    assert got == value
    assert type(got) is type(value)


def test_the_environment_reaches_everything(app: Load) -> None:
    text = """
        namespace: ${env:SPACE}
        entries:
        - name: ${env:NAME}
          kind: ${env:KIND|thing}
          must: x
          meta: {list: ["${env:NAME}"]}
        """
    entry = app(text, env={"SPACE": "s", "NAME": "n"}, kinds=(KIND,)).entries["s:n"]
    assert entry.meta == {"list": ["n"]}


def test_the_process_environment_is_the_default(app: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    from saros.entries import load

    monkeypatch.setenv("SAROS_TEST_TEXT", "from outside")
    root = app(thing("text: x"), kinds=(KIND,)).root
    (root / "_index.yaml").write_text(thing("text: ${env:SAROS_TEST_TEXT}"))
    assert load(root, (KIND,)).entries["app:x"].get("text") == "from outside"


@pytest.mark.parametrize(
    ("key", "message", "hint"),
    [
        (
            "text: ${env:NOTHING}",
            "the environment variable NOTHING is not set",
            "set it, or give a default: ${env:NOTHING|default}",
        ),
        (
            "count: ${env:NOTHING}",  # and not: "" is not an integer
            "the environment variable NOTHING is not set",
            "set it, or give a default: ${env:NOTHING|default}",
        ),
        (
            "text: ${env:}",
            "`${env:}` is not a reference to an environment variable",
            "write ${env:NAME} or ${env:NAME|default}",
        ),
        (
            'text: "${env:A B}"',
            "`${env:A B}` is not a reference to an environment variable",
            "write ${env:NAME} or ${env:NAME|default}",
        ),
        (
            "text: ${env:OPEN",
            "`${env:OPEN` is not a reference to an environment variable",
            "write ${env:NAME} or ${env:NAME|default}",
        ),
        (
            "count: ${env:SECRET}",
            "`count` must be an integer from 0 to 9999, not the value of ${env:SECRET}",
            None,
        ),
        ("count: 10000", "`count` must be an integer from 0 to 9999, not 10000", None),
        ("count: 1.5", "`count` must be an integer from 0 to 9999, not 1.5", None),
        ("rate: true", "`rate` must be a number, not true", None),
        ("flag: 1", "`flag` must be true or false, not 1", None),
        (
            "wait: ${env:SECRET}",
            '`wait` must be a duration such as "30s", or a number of milliseconds,'
            " not the value of ${env:SECRET}",
            None,
        ),
        (
            "wait: -1s",
            '`wait` must be a duration such as "30s", or a number of milliseconds, not "-1s"',
            None,
        ),
        (
            "wait: 30",
            None,
            None,
        ),
        ("text: !!int x", '"x" is not a number', "put it in quotes to make it a string"),
    ],
)
def test_values_that_do_not_fit(
    problems: Fail, app: Load, key: str, message: str | None, hint: str | None
) -> None:
    env = {"SECRET": "hunter2"}
    if message is None:
        assert app(thing(key), env=env, kinds=(KIND,)).warnings == []
        return
    [problem] = problems(thing(key), env=env, kinds=(KIND,))
    assert (problem.message, problem.hint, problem.entry) == (message, hint, "app:x")
    assert problem.where == "app/_index.yaml:5"


def test_an_empty_required_text_is_refused(problems: Fail) -> None:
    [problem] = problems("namespace: app\nname: x\nkind: thing\nmust: ''\n", kinds=(KIND,))
    assert problem.message == '`must` must be a string, not ""'


def test_a_fault_in_an_anchor_is_reported_only_if_the_anchor_is_used(problems: Fail, app: Load) -> None:
    shared = "namespace: app\nx-shared: &shared {must: '${env:NOTHING}'}\nentries:\n"
    [problem] = problems(shared + "- {name: x, kind: thing, <<: *shared}\n", kinds=(KIND,))
    assert str(problem) == "app:x: the environment variable NOTHING is not set (app/_index.yaml:2)"
    assert app(shared + "- {name: x, kind: thing, must: x}\n", kinds=(KIND,)).warnings == []


def test_anchors_and_merges(app: Load) -> None:
    text = """
        namespace: app
        x-shared: &shared {must: x, text: shared, meta: {a: 1}}
        entries:
        - name: one
          kind: thing
          <<: *shared
          text: own
        - {name: two, kind: thing, <<: [{count: 1}, *shared, {count: 2, flag: on}]}
        """
    registry = app(text, kinds=(KIND,))
    one, two = registry.entries.values()
    assert {key: one.get(key) for key in ("must", "text", "meta")} == {
        "must": "x",
        "text": "own",
        "meta": {"a": 1},
    }
    assert (two.get("text"), two.get("count"), two.get("flag")) == ("shared", 1, True)
    assert (one.where("text"), one.where("must")) == ("app/_index.yaml:7", "app/_index.yaml:2")
