"""What observing costs: the CPU time of a workflow of five activities with and without `saros-otel`.

    python bench/otel_bench.py                   on ``memory://``
    python bench/otel_bench.py --redis           on Redis, which it starts
    python bench/otel_bench.py --rounds 15 --only off --only traces

Everything runs in one process, alternately, and the least CPU time of each setting counts, so that other work on
the machine disturbs little. To close the exporter takes some milliseconds, so measure at least 500 workflows.
The collector that receives the traces is a process of its own.

off: the plugin observes nothing. idle: it is installed, and no variable is set. scraped: metrics at
``/metrics``. traces: every run is traced. sampled: one in a hundred is. sdk: nothing is traced, but as many spans
as with `traces` are made and exported by the SDK alone, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from processes import side_by_side

import saros
from saros_cli.commands.serve import tune_collector

APP = Path(__file__).parent / "apps" / "steps"
US = 1e6
SPANS = 12
"""Of a workflow: its start, its run, and two for each of five activities."""

SETTINGS: dict[str, dict[str, str]] = {
    "off": {"OTEL_SDK_DISABLED": "true"},
    "idle": {},
    "scraped": {"OTEL_METRICS_EXPORTER": "prometheus"},
    "traces": {"OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "otlp"},
    "sampled": {
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.01",
    },
    "sdk": {"OTEL_SDK_DISABLED": "true"},
}


# --- the collector --------------------------------------------------------------------------------


def collect() -> None:
    """Receive traces until the input ends, and count the bytes."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


@contextmanager
def collector() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, __file__, "--collect"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.communicate()


# --- measuring ------------------------------------------------------------------------------------


@contextmanager
def environment(setting: str, endpoint: str) -> Iterator[None]:
    os.environ.update(SETTINGS[setting])
    os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{endpoint}/v1/traces"
    if setting in ("idle", "scraped"):
        del os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("OTEL_")]:
            del os.environ[name]


async def measure(setting: str, url: str, endpoint: str, count: int) -> float:
    """Return the CPU seconds of this process for `count` workflows, until everything is exported."""
    with environment(setting, endpoint):
        async with saros.open(APP, url) as app:

            async def one(number: int) -> None:
                handle = await app.start("bench:five", "bench:python_echo", number)
                assert await handle.result() == number

            if setting == "scraped" and app.deployment.observer is not None:
                app.deployment.observer.served()
            await side_by_side(one, 32, 16)
            gc.collect()
            began = time.process_time()
            await side_by_side(one, count, 16)
            if app.deployment.observer is not None:
                await app.deployment.observer.close()
                app.deployment.observer = None
        if setting == "sdk":
            bare(count * SPANS, endpoint)
        return time.process_time() - began


def bare(spans: int, endpoint: str) -> None:
    """Make and export spans like those of a trace, with nothing but the SDK."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces"), max_queue_size=spans)
    )
    tracer = provider.get_tracer("bench")
    attributes = {
        "saros.workflow_id": "x" * 32,
        "saros.run_id": "y" * 32,
        "saros.entry": "a:b",
        "saros.attempt": 1,
    }
    parent = tracer.start_span("parent")
    within = trace.set_span_in_context(parent)
    for _ in range(spans):
        tracer.start_span("RunActivity:bench:python_echo", within, trace.SpanKind.SERVER, attributes).end()
    provider.shutdown()


async def compare(args: argparse.Namespace, url: str) -> None:
    settings = args.only or [*SETTINGS]
    best = dict.fromkeys(settings, float("inf"))
    with collector() as endpoint:
        for number in range(args.rounds + 1):
            for setting in settings:
                tune_collector()
                seconds = await measure(setting, url, endpoint, args.workflows)
                if number:  # the first round warms up
                    best[setting] = min(best[setting], seconds / args.workflows)
                    if args.verbose:
                        print(f"{setting:8} {seconds / args.workflows * US:8.0f}", flush=True)
    base = best.get("off") or min(best.values())
    print(f"{'':8} {'CPU of a workflow':>18}")
    for setting, cpu in best.items():
        print(f"{setting:8} {cpu * US:15.0f} us {(cpu / base - 1) * 100:+7.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workflows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--redis", action="store_true")
    parser.add_argument("--only", action="append", choices=[*SETTINGS])
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--collect", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.collect:
        collect()
        return
    if not args.redis:
        asyncio.run(compare(args, "memory://"))
        return
    from redis_bench import Server

    server = Server("everysec")
    try:
        asyncio.run(compare(args, server.url("otel")))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
