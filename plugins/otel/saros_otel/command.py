"""`saros trace`: the trace of a past execution, from its history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, cast

import typer

from saros.model.text import json_visible, one_line, sentence

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.trace import Link


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

    spans, open_activities = asyncio.run(_spans(id, run_id, backend, export))
    if json:
        for span in spans:
            typer.echo(json_visible(span.to_json(indent=None)))
    else:
        for line in [*lines_of(spans), *open_activities]:
            typer.echo(one_line(line))


async def _spans(
    id: str, run_id: str, backend: str | None, export: bool
) -> tuple[list[ReadableSpan], list[str]]:
    """Return the spans of an execution, and what its activities wait for."""
    from opentelemetry.sdk.trace import ReadableSpan

    from saros.app.opening import open_app
    from saros.insight.reasons import activity_waits
    from saros.model.errors import NOT_FOUND, Error

    from .carriers import Contexts
    from .histories import Histories
    from .setup import resource, tracing
    from .wanted import wanted

    asked = wanted(works=False)
    exporter = (asked.traces if asked is not None and asked.traces else "otlp") if export else ""
    provider, processor = tracing(exporter, resource())
    async with open_app(None, backend, workers=False) as app:
        histories = Histories(app.backend, Contexts(provider.sampler))
        try:
            spans = await histories.tree(id, run_id, unsampled=not export)
        except Error as error:
            if error.kind == NOT_FOUND and run_id:
                error.message = f"workflow {one_line(id)} has no run {one_line(run_id)}"
            raise
        now = app.clock.now()
        activities = await app.backend.activities(id, run_id)
    if processor is not None:
        for span in spans:
            if span.end is not None:  # the observer exports open spans when they end
                processor.on_end(cast(ReadableSpan, span))  # `Exporter` knows what it is
        await _flushed(provider)
    waits = [one_line(activity_waits(activity, now)) for activity in activities]
    return [span.readable(provider.resource) for span in spans], [f"open: {each}" for each in waits]


async def _flushed(provider: TracerProvider) -> None:
    from anyio import to_thread

    await to_thread.run_sync(provider.shutdown)


def lines_of(spans: Sequence[ReadableSpan]) -> Iterator[str]:
    """Format spans for people, each below its parent: start, duration, name, ids, and what it is linked to."""
    first = spans[0].start_time or 0 if spans else 0
    if spans and (caller := spans[0].parent) is not None:
        yield f"part of the trace {caller.trace_id:032x}, begun by the span {caller.span_id:016x}"
    below: dict[int, list[ReadableSpan]] = defaultdict(list)
    for span in spans:
        below[span.parent.span_id if span.parent is not None and span is not spans[0] else 0].append(span)
    waiting = [(0, span) for span in reversed(below[0])]
    while waiting:
        depth, span = waiting.pop()
        yield _line(span, first, depth)
        for link in span.links:
            yield f"{'':28}{'  ' * depth}  {_link(link)}"
        if span.context is not None:
            inner = sorted(below[span.context.span_id], key=lambda each: each.start_time or 0, reverse=True)
            waiting += [(depth + 1, each) for each in inner]


def _line(span: ReadableSpan, first: int, depth: int) -> str:
    begin = span.start_time or 0
    took = f"{((span.end_time or begin) - begin) / 1e9:9.3f} s" if span.end_time else "    running"
    status = f"  {sentence(span.status.description)}" if span.status.description else ""
    context = span.context
    ids = f"  [{context.trace_id:032x} {context.span_id:016x}]" if context is not None else ""
    whose = str(span.attributes["saros.workflow_id"]) if depth and span.attributes and _is_run(span) else ""
    name = f"{span.name} {one_line(whose)}".rstrip()
    return f"+{(begin - first) / 1e9:9.3f} s {took}  {'  ' * depth}{name}{status}{ids}"


def _is_run(span: ReadableSpan) -> bool:
    return span.name.startswith("RunWorkflow:")


def _link(link: Link) -> str:
    attributes = link.attributes or {}
    what = str(attributes.get("saros.link", "link"))
    name = (
        attributes.get("saros.topic")
        or attributes.get("saros.update")
        or attributes.get("saros.run_id")
        or ""
    )
    context = link.context
    said = one_line(f"{what} {name}".strip())
    return f"linked: {said}  [{context.trace_id:032x} {context.span_id:016x}]"
