"""The process that starts workers for kills.py, kills them, and replaces them; and the databases that they share."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psycopg
from orders import Tally, patiently
from servers import PostgresServer

import saros
from saros_sql.options import parse

WORKERS = 4
LETTERS = 4
PATIENCE_S = 3_600.0
END = "no client is left"
PAUSE_S = 0.8
"""The mean time between two kills."""
_fork = multiprocessing.get_context("fork")  # a new worker has everything imported


# --- a worker ---------------------------------------------------------------------------------


def work(path: Path, url: str, folder: Path, number: int) -> None:
    """Be a worker and a client until it is killed; note in a file what was acknowledged."""
    os.environ["NOTES"] = str(folder / "notes")
    log = os.open(folder / f"worker-{number}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with (folder / f"acknowledged-{number}").open("a", buffering=1) as file:
        asyncio.run(
            _work(
                path,
                url,
                folder / "stop",
                number * 1_000_000,
                lambda line: print(line, file=file, flush=True),
            )
        )


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


async def _work(path: Path, url: str, stop: Path, first: int, note: Callable[[str], None]) -> None:
    numbers = itertools.count(first)
    async with saros.open(path, backend=url) as app:
        while not os.path.exists(stop):  # noqa: ASYNC240
            await order(app, Tally(), f"own-{next(numbers)}", note)
        note(END)
        await asyncio.Event().wait()


async def order(app: Any, tally: Tally, id: str, note: Callable[[str], None]) -> Any:
    """Start a workflow, send it letters, and return its result. Note what is acknowledged."""
    handle = await patiently(tally, lambda: app.start("app:order", id, id=id))
    note(f"{id} start")
    for number in range(1, LETTERS + 1):
        await patiently(tally, partial(handle.signal, "letter", number))
        note(f"{id} {number}")
    return await patiently(tally, lambda: handle.result(PATIENCE_S))


# --- databases --------------------------------------------------------------------------------


class File:
    """A file of SQLite."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'shop.db'}?lease=2s&attempts=1000000"

    def disturb(self, dice: random.Random) -> str:
        """Do something to the database, or nothing; return what."""
        return ""

    def stop(self) -> None:
        pass


class Server(File):
    """A server of PostgreSQL, which is killed, too."""

    def __init__(self, folder: Path) -> None:
        self.server = PostgresServer()
        self.server.start()
        self.url = self.server.url(lease="2s", attempts=1_000_000)

    def disturb(self, dice: random.Random) -> str:
        what = dice.randrange(10)
        if what == 0:
            self.server.kill(signal.SIGQUIT)
            self.server.start()
            return "server crashed"
        if what == 1:
            sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'saros'"
            execute(self.server, sql)
            return "connections killed"
        return ""

    def stop(self) -> None:
        self.server.stop()


class Replicated(Server):
    """A server with a synchronous replica, which takes over when the server is lost."""

    def __init__(self, folder: Path) -> None:
        self.server, self.other = PostgresServer(), PostgresServer()
        self.server.start()
        self._replicate()
        ports = self.server.port, self.other.port
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        url = self.server.url(lease="2s", attempts=1_000_000, target_session_attrs="read-write")
        self.url = url.replace(f"127.0.0.1:{ports[0]}", hosts)

    def disturb(self, dice: random.Random) -> str:
        if dice.randrange(8):
            return ""
        self.server.kill(signal.SIGQUIT)
        execute(self.other, "SELECT pg_promote()")
        self.server, self.other = self.other, self.server
        self._replicate()
        return "failed over"

    def _replicate(self) -> None:
        """Make the other server a replica, without which this one acknowledges nothing."""
        self.other.copy(self.server)
        self.other.start()
        execute(self.server, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        execute(self.server, "SELECT pg_reload_conf()")
        while execute(self.server, "SELECT sync_state FROM pg_stat_replication") != "sync":
            time.sleep(0.05)

    def stop(self) -> None:
        self.server.stop()
        self.other.stop()


def execute(server: PostgresServer, sql: str) -> Any:
    """Run a statement, and return what it gives first."""
    raw: Any
    with psycopg.connect(f"postgresql://saros@127.0.0.1:{server.port}/postgres", autocommit=True) as raw:
        found = raw.execute(sql)
        row = found.fetchone() if found.description else None
        return row[0] if row else None


def rest(url: str) -> list[str]:
    """What is wrong with a database when everything has ended: damage, and tables that are not empty."""
    options = parse(url)
    tables = ("inbox", "outbox", "activities", "deadlines", "children", "watchers")
    raw: Any
    found = []
    if options.server:
        with psycopg.connect(options.server, autocommit=True) as raw:
            raw.execute(f"SET search_path = {options.schema}")
            counts = {table: raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    else:
        with contextlib.closing(sqlite3.connect(options.path)) as raw:
            counts = {table: raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
            found = [line for (line,) in raw.execute("PRAGMA integrity_check") if line != "ok"]
    return found + [f"{table} has {count} rows left" for table, count in counts.items() if count]


# --- the killer -------------------------------------------------------------------------------


class Killer:
    """:ivar hits: what was hit, and how often."""

    def __init__(self, place: File, app: Path, folder: Path, seed: int) -> None:
        self._place, self._app, self._folder = place, app, folder
        self._dice = random.Random(seed)
        self._number = itertools.count()
        self.hits: Counter[str] = Counter()
        self._workers = [self._start() for _ in range(WORKERS)]

    def _start(self) -> Any:
        args = (self._app, self._place.url, self._folder, next(self._number))
        process = _fork.Process(target=work, args=args, daemon=True)
        process.start()
        return process

    def supervise(self) -> None:
        """Replace workers that have ended by themselves, as when no server answers."""
        for at, worker in enumerate(self._workers):
            if worker.exitcode is not None:
                self.hits[f"worker ended ({worker.exitcode})"] += 1
                self._workers[at] = self._start()

    def hit(self) -> None:
        time.sleep(self._dice.expovariate(1 / PAUSE_S))
        self.supervise()
        what = self._place.disturb(self._dice)
        if not what:
            what = "worker killed"
            at = self._dice.randrange(WORKERS)
            self._workers[at].kill()
            self._workers[at].join()
            self._workers[at] = self._start()
        self.hits[what] += 1

    def end(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.join()


def killer(
    make: Callable[[Path], File], app: Path, folder: Path, seed: int, times: int, line: Connection
) -> None:
    """Hit workers and database so many times; then keep four workers running until told to end."""
    place = make(folder)
    try:
        line.send(place.url)
        line.recv()
        work = Killer(place, app, folder, seed)
        for _ in range(times):
            work.hit()
            if sum(work.hits.values()) % 100 == 0:
                print(dict(work.hits), flush=True)
        (folder / "stop").touch()
        while not line.poll(0.2):  # raises EOFError when nobody listens any more
            work.supervise()
        line.recv()
        work.end()
        line.send(work.hits)
        line.recv()
    finally:
        work.end()
        place.stop()
