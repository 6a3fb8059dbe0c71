"""The parts that a process needs to take tasks."""

from __future__ import annotations

from typing import NamedTuple

from ..options import Options
from ..server.client import Client
from ..server.partitions import Partitions
from .intake import Intake
from .leases import Leases
from .prefetch import Prefetch


class Worker(NamedTuple):
    options: Options
    client: Client
    partitions: Partitions
    prefetch: Prefetch
    intake: Intake
    leases: Leases
