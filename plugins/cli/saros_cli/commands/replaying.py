"""`saros replay`: check that the code still matches histories."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import inputs, output
from ..errors import FAILURE, WrongInput, show
from ..parameters import AppPath, Json

if TYPE_CHECKING:
    from saros.interfaces.deployment import Deployment

EXAMPLE = "Example: saros replay examples/orders order-123.json"


def add_to(cli: typer.Typer, panel: str) -> None:
    cli.command(rich_help_panel=panel, epilog=EXAMPLE)(replay)


def replay(
    app: AppPath,
    histories: Annotated[
        list[str],
        typer.Argument(
            metavar="HISTORY...", help="Files written by `saros history --json`.", show_default=False
        ),
    ],
    json: Json = False,
) -> None:
    """Replay exported histories against the app's current code.

    If the code no longer matches, print the first divergence of each history and exit with status 1.
    """
    from saros.app.loading import load_app
    from saros.model.errors import Error, NonDeterminism

    documents = [(path, _document(path)) for path in histories]
    deployment = load_app(app)
    output.warnings(deployment.registry)
    reports: list[dict[str, Any]] = []
    for path, document in documents:
        try:
            events = _replay(document, deployment)
        except Error as error:
            told = {"file": path, "ok": False, "error": error.message, "where": error.where or ""}
            if isinstance(error, NonDeterminism):
                told.update(error.details)
            reports.append(told)
            if not json:
                show(f"{path}: {error.message}", error.where or "", error.hint or "")
        else:
            reports.append({"file": path, "ok": True, "events": events})
            if not json:
                output.line(f"{path}: {events} events match")
    if json:
        output.plain(reports, compact=True)
    if not all(report["ok"] for report in reports):
        raise typer.Exit(FAILURE)


def _document(path: str) -> Any:
    text = inputs.read(path, "HISTORY")
    try:
        return json_module.loads(text)
    except ValueError as error:
        raise WrongInput(
            f"this is not JSON: {error}", path, "export one with `saros history ID --json`"
        ) from None


def _replay(document: Any, deployment: Deployment) -> int:
    """Replay a history in our own format, or in a backend's."""
    from saros.app.plugins import installed
    from saros.engine.replay import replay as replay_own
    from saros.model.presentation import FORMAT

    if not isinstance(document, dict) or document.get("format") != FORMAT:
        for backend in installed().backends().values():
            events = backend.replay(document, deployment) if backend.replay is not None else None
            if events is not None:
                return events
    return replay_own(document, deployment)
