"""Puts the pages that mkdocs.yml does not list into its navigation: those of plugins, and what is generated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SECTIONS = {
    "api": "Write",
    "backends": "Run",
    "http": "Write",
    "lua": "Write",
    "surface": "Write",
    "conformance": "Inside",
}
"""First part of a page's path -> the section that it belongs to."""


def on_config(config: Any) -> Any:
    docs = Path(config["docs_dir"])
    sections: dict[str, list[Any]] = {}
    listed: set[str] = set()
    for item in config["nav"]:
        for title, pages in item.items():
            if isinstance(pages, list):
                sections[title] = pages
                listed.update(page if isinstance(page, str) else next(iter(page.values())) for page in pages)
            else:
                listed.add(pages)
    for file in sorted(docs.rglob("*.md")):
        page = file.relative_to(docs).as_posix()
        if page not in listed:
            sections[SECTIONS.get(page.removesuffix(".md").split("/")[0], "Inside")].append(page)
    return config
