"""docs/api.md agrees with the code."""

from __future__ import annotations

import inspect
import runpy
from pathlib import Path

import saros

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    made = runpy.run_path(str(DOCS / "generate_api.py"))["page"]()
    assert (DOCS / "api.md").read_text("utf-8") == made, "run: python docs/generate_api.py"


def test_the_page_has_every_public_name() -> None:
    page = (DOCS / "api.md").read_text("utf-8")
    for name in set(saros.__all__) - {"hookimpl"}:  # only for plugins
        assert name in page, name


def test_dir_lists_the_public_names() -> None:
    assert [name for name in dir(saros) if not name.startswith("_")] == sorted(saros.__all__)
    for name in saros.__all__:
        assert getattr(saros, name) is not None


def test_every_parameter_is_explained() -> None:
    for kind in (saros.App, saros.Handle):
        for name, member in vars(kind).items():
            if name.startswith("_") or not inspect.isfunction(member):
                continue
            assert member.__doc__, name
            for parameter in list(inspect.signature(member).parameters)[1:]:
                assert parameter in (member.__doc__ or ""), f"{kind.__name__}.{name}: {parameter}"
