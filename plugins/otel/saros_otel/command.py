"""`saros trace`: the trace of a past execution, from its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from saros.model.text import json_visible, one_line, sentence

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider


def add_to(cli: typer.Typer) -> None:
    cli.command("trace", epilog="Example: saros trace order-123 --export")(trace)


def trace(
    id: Annotated[str, typer.Argument(metavar="ID", help="The workflow's id.", show_default=False)],
    run_id: Annotated[
        str, typer.Option("--run-id", metavar="RUN", help="A run of the workflow; default: the newest.")
    ] = "",
    export: Annotated[
        bool,
        typer.Option(
            "--export", help="Export the trace as the OTEL_* variables say, instead of printing it."
        ),
    ] = False,
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend",
            "-b",
            metavar="URL",
            envvar="SAROS_BACKEND",
            help="Where workflows live.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON only, one span per line.")] = False,
) -> None:
    """Print or export the trace of an execution, on any backend, from its history."""
    import asyncio

    spans = asyncio.run(_spans(id, run_id, backend, export))
    for span in spans:
        typer.echo(json_visible(span.to_json(indent=None)) if json else one_line(_line(span, spans[0])))


async def _spans(id: str, run_id: str, backend: str | None, export: bool) -> list[ReadableSpan]:
    from opentelemetry.sdk.trace import ReadableSpan

    from saros.app.opening import open_app

    from .carriers import Contexts
    from .histories import Histories
    from .setup import resource, tracing
    from .wanted import wanted

    asked = wanted(works=False)
    exporter = (asked.traces if asked is not None and asked.traces else "otlp") if export else ""
    provider, processor = tracing(exporter, resource())
    async with open_app(None, backend, workers=False) as app:
        histories = Histories(app.backend, Contexts(provider.sampler))
        spans = await histories.spans(id, run_id, unsampled=not export)
    if processor is not None:
        for span in spans:
            if span.end is not None:  # the observer exports open spans when they end
                processor.on_end(cast(ReadableSpan, span))  # `Exporter` knows what it is
        await _flushed(provider)
    return [span.readable(provider.resource) for span in spans]


async def _flushed(provider: TracerProvider) -> None:
    from anyio import to_thread

    await to_thread.run_sync(provider.shutdown)


def _line(span: ReadableSpan, root: ReadableSpan) -> str:
    """Format a span for people: its start relative to the first span, its duration and its name."""
    begin, first = span.start_time or 0, root.start_time or 0
    took = f"{((span.end_time or begin) - begin) / 1e9:9.3f} s" if span.end_time else "    running"
    status = f"  {sentence(span.status.description)}" if span.status.description else ""
    context = span.context
    ids = f"  [{context.trace_id:032x} {context.span_id:016x}]" if context is not None else ""
    indent = "" if span is root else "  "
    links = f"  {len(span.links)} links" if span.links else ""
    return f"+{(begin - first) / 1e9:9.3f} s {took}  {indent}{span.name}{status}{links}{ids}"
