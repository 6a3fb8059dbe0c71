"""Names of processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from saros.insight.presence import identity

ALONE = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc"]


def test_a_process_is_named_by_its_number_and_host() -> None:
    assert identity().startswith(f"{os.getpid()}@{os.uname().nodename}")
    assert identity() == identity()


def test_first_processes_of_containers_have_names_of_their_own() -> None:
    """As in containers that share the name of a host, or in one that is started again."""
    if not shutil.which("unshare") or subprocess.run([*ALONE, "true"], capture_output=True).returncode:
        pytest.skip("needs a namespace of processes")
    code = "from saros.insight.presence import identity; print(identity())"
    command = [*ALONE, sys.executable, "-c", code]
    names = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(3)]
    assert all(name.startswith(f"1@{os.uname().nodename}/") for name in names)
    assert len(set(names)) > 1
