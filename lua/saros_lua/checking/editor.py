"""`saros types`: describes the Lua surface to editors that use the Lua language server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from saros.model.errors import INVALID, Error

if TYPE_CHECKING:
    from saros.interfaces.module import Module

FOLDER: Final = ".saros/types"
SETTINGS: Final = ".luarc.json"


def types(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="The app; default: here.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print data only, as JSON.")] = False,
) -> None:
    """Write definitions of the Lua surface into an app, for completion and checks in editors."""
    from saros.app.plugins import installed

    if not directory.is_dir():
        raise Error(f'there is no directory "{directory}"', INVALID)
    written = write(directory, list(installed().modules().values()))
    if as_json:
        typer.echo(json.dumps({"written": [str(path) for path in written]}))
        return
    for path in written:
        typer.echo(f"wrote {path}")


def write(directory: Path, modules: list[Module]) -> list[Path]:
    """Write the definitions of the surface and of plugins' modules, and the settings of the language server.

    :return: the files that were written.
    :raises Error: INVALID when existing settings cannot be read; then nothing is written.
    """
    from . import definitions

    names = definitions.modules()
    texts = {name: definitions.read(name) for name in ("globals", *names)}
    texts.update({module.name: module.types for module in modules if module.types})
    settings = _settings(directory / SETTINGS, sorted({*texts} - {"globals"}))
    folder = directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in texts.items():
        written.append(folder / f"{name}.lua")
        written[-1].write_text(text, "utf-8")
    written.append(directory / SETTINGS)
    written[-1].write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
    return written


def _settings(path: Path, modules: list[str]) -> dict[str, Any]:
    """Return the settings of a file with ours added; others stay."""
    settings: dict[str, Any] = {}
    if path.exists():
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise Error(f"{path} cannot be read: {error}", INVALID, hint="repair or remove it") from error
        if not isinstance(found, dict):
            raise Error(f"{path} does not hold a JSON object", INVALID, hint="repair or remove it")
        settings = found
    settings["runtime.version"] = "Lua 5.4"
    settings["runtime.builtin"] = dict.fromkeys(("debug", "io", "package"), "disable")
    settings["workspace.checkThirdParty"] = False
    for key, ours in (("workspace.library", [FOLDER]), ("diagnostics.globals", modules)):
        known = settings.get(key)
        kept = [item for item in known if item not in ours] if isinstance(known, list) else []
        settings[key] = kept + ours
    return settings
