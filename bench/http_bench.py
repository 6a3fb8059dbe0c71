"""Requests per second and latencies: a trivial Lua handler and POST /orders, beside plain starlette.

python bench/http_bench.py [--seconds 2] [--rounds 3] [--connections 16] [--json]

Each server runs in its own process, on the memory backend; the client is a plain loop in this process. The rounds of
the three loads alternate, and the median of each load counts.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import multiprocessing
import os
import socket
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
HELLO, ORDERS = ROOT / "tests" / "http" / "app", ROOT / "examples" / "orders"


class Load(NamedTuple):
    """The requests to one server; ``%d`` in a body is replaced by a number that differs in each request."""

    name: str
    server: str
    method: str
    path: str
    body: str = ""
    status: int = 200


LOADS = (
    Load("plain starlette", "starlette", "GET", "/hello/bob"),
    Load("trivial Lua handler", "hello", "GET", "/hello/bob"),
    Load("POST /orders", "orders", "POST", "/orders", '{"id":"b%d","total":12.5}', 201),
)


class Round(NamedTuple):
    rate: float  # per second
    p50: float  # ms
    p99: float


# --- servers --------------------------------------------------------------------------------------


def serve_starlette(out: Connection) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def hello(request: Request) -> JSONResponse:
        return JSONResponse({"hello": request.path_params["name"]})

    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/hello/{name}", hello)])
    config = uvicorn.Config(app, http="h11", log_config=None, access_log=False, lifespan="off")
    out.send(sock.getsockname()[1])
    asyncio.run(uvicorn.Server(config).serve(sockets=[sock]))


def serve_saros(out: Connection, path: Path, service: str) -> None:
    import saros
    from saros_http import serving

    async def main() -> None:
        os.environ["HTTP_ADDR"] = os.environ["ORDERS_ADDR"] = "127.0.0.1:0"
        async with saros.open(path, "memory://") as app:
            urls = await serving(app)
            out.send(int(urls[service].rpartition(":")[2]))
            await asyncio.Event().wait()

    logging.disable(logging.INFO)
    asyncio.run(main())


# --- the client -----------------------------------------------------------------------------------

_numbers = itertools.count(1)


async def _connection(load: Load, port: int, until: float, took: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    expected = f"HTTP/1.1 {load.status} ".encode()
    try:
        while (began := time.perf_counter()) < until:
            body = (load.body % next(_numbers) if load.body else "").encode()
            head = f"{load.method} {load.path} HTTP/1.1\r\nHost: bench\r\n"
            if body:
                head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            writer.write(head.encode() + b"\r\n" + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(expected):
                raise SystemExit(f"{load.name}: {answer!r}")
            lowered = answer.lower()
            at = lowered.index(b"content-length: ") + 16
            await reader.readexactly(int(lowered[at : lowered.index(b"\r\n", at)]))
            took.append(time.perf_counter() - began)
    finally:
        writer.close()


async def measure(load: Load, port: int, seconds: float, connections: int) -> Round:
    took: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(_connection(load, port, began + seconds, took) for _ in range(connections)))
    elapsed = time.perf_counter() - began
    took.sort()
    return Round(len(took) / elapsed, took[len(took) // 2] * 1e3, took[int(len(took) * 0.99)] * 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    context = multiprocessing.get_context("spawn")
    ports, processes = {}, []
    servers = {
        "starlette": (serve_starlette, ()),
        "hello": (serve_saros, (HELLO, "app:web")),
        "orders": (serve_saros, (ORDERS, "app.api:web")),
    }
    for name, (target, args) in servers.items():
        here, there = context.Pipe()
        process = context.Process(target=target, args=(there, *args), daemon=True)
        process.start()
        processes.append(process)
        ports[name] = here.recv()
    rounds: dict[str, list[Round]] = {load.name: [] for load in LOADS}
    for load in LOADS:
        asyncio.run(measure(load, ports[load.server], 0.5, options.connections))
    for _ in range(options.rounds):
        for load in LOADS:
            found = asyncio.run(measure(load, ports[load.server], options.seconds, options.connections))
            rounds[load.name].append(found)
    for process in processes:
        process.terminate()
        process.join()

    medians = {
        name: Round(*(statistics.median(column) for column in zip(*found, strict=True)))
        for name, found in rounds.items()
    }
    plain = medians[LOADS[0].name].rate
    if options.json:
        told = {name: {**found._asdict(), "ratio": found.rate / plain} for name, found in medians.items()}
        json.dump(told, sys.stdout, indent=2)
        return
    print(f"{'':22}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'of plain':>10}")
    for name, found in medians.items():
        print(f"{name:22}{found.rate:9.0f}{found.p50:9.2f}{found.p99:9.2f}{found.rate / plain:9.2f}x")


if __name__ == "__main__":
    main()
