"""Problems of an app's files: YAML, links, sources."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from saros.entries import AppError, load

from .conftest import HOST, KINDS, Fail, lines

FILES = {
    "no namespace": (
        f"entries:\n{HOST}",
        ["the file has entries, but no `namespace` (app/_index.yaml:1) | add namespace: app"],
    ),
    "empty namespace": (
        f"entries:\n{HOST}\nnamespace:",
        ["the file has entries, but no `namespace` (app/_index.yaml:1) | add namespace: app"],
    ),
    "odd namespace": (
        f"namespace: a b\nentries:\n{HOST}",
        [
            '"a b" is not a namespace (app/_index.yaml:1)'
            ' | use letters, digits, "_" and "-", and "." between the parts, as in "shop.orders"'
        ],
    ),
    "no entries": (
        "namespace: app",
        [
            "the file has a namespace, but neither `entries` nor `name` and `kind` (app/_index.yaml:1)",
        ],
    ),
    "entries are no list": (
        "namespace: app\nentries:\n  host: {kind: process.host}",
        ["`entries` must be a list (app/_index.yaml:3) | begin each entry with `- name: …`"],
    ),
    "entries twice": (
        f"namespace: app\nentries:\n{HOST}\nentries:\n{HOST}",
        ["`entries` is given twice, first in line 2 (app/_index.yaml:4) | remove one of the two"],
    ),
    "a single entry without kind": (
        "namespace: app\nname: host",
        ["app:host: the entry has no `kind` (app/_index.yaml:1)"],
    ),
    "a single entry without name": (
        "namespace: app\nkind: process.host",
        ["the entry has no `name` (app/_index.yaml:1)"],
    ),
    "a YAML tag": (
        "namespace: app\nentries:\n- {name: !!binary aGk=, kind: process.host}",
        [
            "the YAML tag tag:yaml.org,2002:binary is not supported (app/_index.yaml:3)"
            " | write the value without a tag",
        ],
    ),
    "a key that is a list": (
        f"namespace: app\nentries:\n{HOST}\n? [a]\n: b",
        ["a key must be a string (app/_index.yaml:4)"],
    ),
    "infinity": (
        "namespace: app\nentries:\n- {name: a, kind: process.host, meta: {x: .inf}}",
        ["app:a: .inf is not allowed in an entry (app/_index.yaml:3) | use a finite number"],
    ),
    "endless alias": (
        "namespace: app\nentries:\n- &e {name: a, kind: process.host, meta: *e}",
        ["app:a: the YAML here is nested too deeply, or its aliases expand without end (app/_index.yaml:3)"],
    ),
    "endless merge": (
        "namespace: app\nentries:\n- &e {name: a, kind: process.host, <<: *e}",
        ["app:a: `<<` must name another mapping, or a list of mappings (app/_index.yaml:3)"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), FILES.values(), ids=FILES)
def test_problems_of_files(problems: Fail, text: str, expected: list[str]) -> None:
    assert lines(problems(text)) == expected


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [  # libyaml decides the column and the wording, so only the line is checked
        ("a: b: c\n", "app/bad.yaml:1:", "this is not valid YAML: "),
        ("x: 1\ny: *nothing\n", "app/bad.yaml:2:", "this is not valid YAML: "),
        ('a: "b\n', "app/bad.yaml:", "this is not valid YAML: "),
        ("a: \x01b\n", "app/bad.yaml", "this is not valid YAML: "),
        ("[" * 100_000, "app/bad.yaml", "the YAML is nested too deeply"),
        ("- " * 100_000, "app/bad.yaml", "the YAML is nested too deeply"),
        ("[" * 3000 + "]" * 3000, "app/bad.yaml", "the YAML is nested too deeply"),
        ("[" * 700 + "]" * 700, "app/bad.yaml", "the YAML is nested too deeply"),
        ("{a: " * 1500 + "}" * 1500, "app/bad.yaml", "the YAML is nested too deeply"),
    ],
    ids=range(9),
)
def test_broken_yaml_hides_nothing_else(problems: Fail, text: str, where: str, message: str) -> None:
    broken, other = problems(
        {"bad.yaml": text, "x.yaml": "namespace: app\nname: x\nkind: temporal.worker\nclient: gone\n"}
    )
    assert (broken.where or "").startswith(where)
    assert broken.message.startswith(message)
    assert lines([other]) == [
        'app:x: `client` names "app:gone", which does not exist (app/x.yaml:4)'
        " | it may be in a file that could not be read"
    ]


def test_a_bomb_of_aliases(problems: Fail) -> None:
    bomb = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for last, name in zip("abcdefg", "bcdefgh", strict=True):
        bomb.append(f"{name}: &{name} [{', '.join([f'*{last}'] * 10)}]")
    entry = "name: x\nkind: process.host\nmeta:\n"
    [problem] = problems("namespace: app\n" + entry + "\n".join(f"  {line}" for line in bomb))
    assert "expand without end" in problem.message


def test_a_file_that_is_not_utf8(write: Callable[[str], Path]) -> None:
    root = write("namespace: app\nname: host\nkind: process.host\n")
    (root / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(AppError) as caught:
        load(root, KINDS, {})
    assert str(caught.value) == "the file is not UTF-8 text (app/latin.yaml:2); save it in UTF-8"


def test_links_may_not_leave_the_app(write: Callable[[str], Path]) -> None:
    root = write("namespace: app\nname: f\nkind: function.lua\nsource: file://link.lua\n")
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "x.lua").touch()
    (outside / "x.yaml").write_text("namespace: x\nentries: []\n")
    (root / "link.lua").symlink_to(outside / "x.lua")
    (root / "link.yaml").symlink_to(outside / "x.yaml")
    with pytest.raises(AppError) as caught:
        load(root, KINDS, {})
    assert lines(caught.value.problems) == [
        'app:f: `source`: the file is a link that leaves the app directory: "link.lua" (app/_index.yaml:4)'
        " | paths are relative to the YAML file",
        "the file is a link that leaves the app directory (app/link.yaml) | copy the file",
    ]


def test_a_directory_behind_a_link_may_not_hold_sources(write: Callable[[str], Path]) -> None:
    root = write("namespace: app\nname: f\nkind: function.lua\nsource: file://shared/x.lua\n")
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "x.lua").touch()
    (root / "shared").symlink_to(outside)
    with pytest.raises(AppError, match="is a link that leaves the app directory"):
        load(root, KINDS, {})
    (root / "_index.yaml").write_text("namespace: app\nname: h\nkind: process.host\n")
    assert lines(load(root, KINDS, {}).warnings) == [
        "the link leaves the app directory; no entries are read there (app/shared)"
    ]


def test_links_that_lead_nowhere(write: Callable[[str], Path]) -> None:
    root = write("namespace: app\nname: f\nkind: function.lua\nsource: file://loop.lua\n")
    (root / "loop.lua").symlink_to("loop.lua")
    (root / "gone.yaml").symlink_to("nothing.yaml")
    with pytest.raises(AppError) as caught:
        load(root, KINDS, {})
    first, second = caught.value.problems
    assert first.message.startswith("`source`: the file cannot be read")
    assert str(second) == "the file cannot be read: No such file or directory (app/gone.yaml)"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(write: Callable[[str], Path]) -> None:
    root = write("namespace: app\nname: f\nkind: process.host\n")
    (root / "_index.yaml").chmod(0)
    with pytest.raises(AppError, match="the file cannot be read: Permission denied"):
        load(root, KINDS, {})


def test_no_such_directory(tmp_path: Path) -> None:
    with pytest.raises(AppError) as caught:
        load(tmp_path / "nowhere", KINDS, {})
    error = caught.value
    assert (error.message, error.hint) == (
        f'there is no app directory "{tmp_path}/nowhere"',
        "`saros new DIR` makes one",
    )


def test_a_file_is_not_an_app(tmp_path: Path) -> None:
    (tmp_path / "_index.yaml").touch()
    with pytest.raises(AppError) as caught:
        load(tmp_path / "_index.yaml", KINDS, {})
    assert str(caught.value) == (
        f'"{tmp_path}/_index.yaml" is a file, but an app is a directory; give the directory: "{tmp_path}"'
    )


@pytest.mark.parametrize("text", ["", "a: 1\n", "namespace: app\nentries: []\n"])
def test_an_app_without_entries(problems: Fail, text: str) -> None:
    assert [problem.message for problem in problems(text)] == ['the app "app" has no entries']
