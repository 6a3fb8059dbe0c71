"""`saros plugins` and `version`: what is installed."""

from __future__ import annotations

import platform
import sys

import typer

from .. import output
from ..parameters import Json


def add_to(cli: typer.Typer, panel: str) -> None:
    cli.command(rich_help_panel=panel, epilog="Example: saros plugins")(plugins)
    cli.command(rich_help_panel=panel, epilog="Example: saros version --json")(version)


def plugins(json: Json = False) -> None:
    """List plugins: what each supplies, and why any failed to load."""
    from saros.app.plugins import installed

    found = installed()
    supplies = found.supplies()
    summaries = {scheme: backend.summary for scheme, backend in found.backends().items()}
    if json:
        told = [
            {"name": name, "distribution": found.distributions.get(name, ""), **supplied}
            for name, supplied in supplies.items()
        ]
        output.plain({"plugins": told, "failed": [broken._asdict() for broken in found.broken]}, compact=True)
        return
    for name, supplied in supplies.items():
        distribution = found.distributions.get(name, "")
        output.line(f"{name} ({distribution})" if distribution else name)
        for what, names in supplied.items():
            if what == "backends":
                for scheme in names:
                    output.line(f"  {'backend':<9} {scheme}://  {summaries.get(scheme, '')}".rstrip())
            elif what != "failed" and (names or what == "commands"):
                output.line(f"  {what:<9} {', '.join(names) or 'yes'}")
    for name, supplied in supplies.items():
        for reason in supplied.get("failed", ()):
            output.warn(f"the plugin {name} fails to supply its {reason}", found.distributions.get(name, ""))
    for broken in found.broken:
        output.warn(f"the plugin {broken.name} failed to load: {broken.reason}", broken.distribution)


def version(json: Json = False) -> None:
    """Print the version."""
    from saros import __version__

    if json:
        python = ".".join(str(part) for part in sys.version_info[:3])
        output.plain({"saros": __version__, "python": python, "platform": platform.platform()}, compact=True)
    else:
        output.line(f"saros {__version__}")
