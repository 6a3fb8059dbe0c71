"""Worker processes that tests can kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

WORKER = """
import asyncio, logging, os, signal, sys
import saros
logging.basicConfig(level=logging.WARNING)
exec(os.environ.get("FIRST", ""))

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with saros.open(sys.argv[1], backend=sys.argv[2]):
        print("ready", flush=True)
        await stop.wait()

asyncio.run(main())
"""
"""The worker's script. The environment variable `FIRST` holds code that runs first."""


class Worker:
    """A worker process.

    :param env: additional environment variables of the process.
    :param log: the file for its log; default: the log of this process.
    """

    def __init__(self, app: Path, url: str, env: Mapping[str, str], log: Path | None = None) -> None:
        command = [sys.executable, "-c", WORKER, str(app), url]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env}
        if log is None:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        else:
            with log.open("ab") as file:
                self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, env=environment)
        assert self.process.stdout is not None
        self._said = self.process.stdout

    def ready(self) -> Worker:
        assert self._said.readline() == b"ready\n"
        return self

    def send(self, number: int) -> None:
        """Send a signal; SIGSTOP has stopped all threads of the process when this returns."""
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def end(self, number: int = signal.SIGKILL, seconds: float = 30) -> int:
        """End the process with a signal, and return its exit code.

        :raises TimeoutExpired: if it does not end in time.
        """
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(seconds)
        self._said.close()
        return code
