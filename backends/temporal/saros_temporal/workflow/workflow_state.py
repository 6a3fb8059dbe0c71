"""The state shared by the workflows of a worker, and by the parts of a workflow."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Final, Protocol

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.client import Client
from temporalio.worker import WorkflowInstanceDetails

from saros.entries import Entry
from saros.interfaces.deployment import Deployment
from saros.interfaces.program import Facts, Program
from saros.model.errors import INVALID, CodeError, Error, ErrorData
from saros.model.execution import Pid
from saros.model.records import DONE, ContinueAsNew, Event, Outcome, pack
from saros.model.values import Json, error_data

from ..wire.commands import NS
from ..wire.payloads import MAX_PAYLOAD, too_large
from ..wire.search_attributes import SearchAttributes

MAX_TASK: Final = 3_000_000
"""Bytes of payloads per workflow task; gRPC takes 4 MiB."""

Ending = Json | ErrorData | ContinueAsNew
"""The end of a program: a result, an error, or the start of the next run."""


class Environment:
    """The state that the workflows of one worker share.

    :param worker: entry id of the worker, or ``""`` for an app without one.
    :param client: None in a replay of an exported history.
    """

    def __init__(
        self, deployment: Deployment, worker: str, search: SearchAttributes, client: Client | None = None
    ) -> None:
        self.deployment = deployment
        self.worker = worker
        self.search = search
        self.client = client
        registry = deployment.registry
        own = registry.client_of(worker) if worker else None
        self._elsewhere = frozenset(
            other.id
            for other in registry.of_kind("temporal.worker")
            if worker and registry.client_of(other.id) is not own
        )

    def is_elsewhere(self, worker: str) -> bool:
        """Whether another worker has another client, which Temporal's children and external signals cannot reach.

        Only the entries decide this, so that a replay on another server gets the same answer.
        """
        return worker in self._elsewhere

    @property
    def place(self) -> str:
        """The prefix of the pids of this worker's workflows."""
        return self.worker or "default"

    def workflow(self, type_name: str) -> Entry:
        """:raises CodeError: when the app has no such workflow; it fails the task, not the workflow."""
        try:
            return self.deployment.registry.workflow(type_name)
        except Error as error:
            raise CodeError(f"cannot run {type_name}: {error.message}", where=error.where) from None

    def program(self, entry: Entry, facts: Facts) -> Program:
        """Create a program.

        :raises CodeError: when its code cannot be loaded.
        """
        return self.deployment.program(entry, workflow=True, facts=facts)

    def refresh(self) -> None:
        """Reload the sources: a task has failed, and the code may have been repaired."""
        self.deployment.refresh()


class Sink(Protocol):
    """The commands of a completion."""

    def add(self) -> WorkflowCommand: ...


class WorkflowState:
    """The commands of a workflow, and the events that its program has not received yet.

    Each part of a workflow uses it through a Protocol with the few members that it needs.

    :attr add: appends an empty command to the completion of the present activation.
    :param wake: called when there is an event.
    """

    add: Callable[[], WorkflowCommand]

    def __init__(self, place: str, det: WorkflowInstanceDetails, wake: Callable[[], None]) -> None:
        self.info = det.info
        self.no_eager_activities = det.disable_eager_activity_execution
        self.pid = str(Pid(place, det.info.workflow_id))
        self.trace = ""  # see `saros.model.execution.Run`
        self.seed = det.randomness_seed
        self.random = random.Random(self.seed)
        self.now = 0  # ns since 1970, at the current activation
        self.task = 0  # number of the current workflow task, as far as this worker knows
        self.local_in_a_row = 0  # local activities that have ended since the last news from the server
        self.queue: list[Event] = []
        self.ending: Ending | None = None  # the content of the closing command, once known
        self.canceled = False
        self._wake = wake
        self._task_bytes = 0

    def begin(self, act: WorkflowActivation, sink: Sink, next_task: bool) -> None:
        """Take the time of an activation, and send commands to `sink` from here on."""
        self.add = sink.add
        time = act.timestamp
        self.now = time.seconds * NS + time.nanos
        if next_task:
            self.task += 1
            self._task_bytes = 0

    def uuid(self) -> str:
        """Return a version 4 UUID, the same in every replay."""
        return str(uuid.UUID(bytes=self.random.getrandbits(128).to_bytes(16, "big"), version=4))

    def reseed(self, seed: int) -> None:
        """Start a new sequence of random numbers."""
        self.seed = seed
        self.random.seed(seed)

    def news(self) -> None:
        """Note that the program receives something other than the end of a local activity."""
        self.local_in_a_row = 0

    # --- events -------------------------------------------------------------------------------

    def post(self, op: str, ref: int, body: Json) -> None:
        """Deliver an event as soon as the program can accept it."""
        self.queue.append(Event(op, ref, body, self.now))
        self._wake()

    def settle(self, ref: int, outcome: Json) -> None:
        """Deliver the outcome of a command."""
        self.post(DONE, ref, outcome)

    def refuse(self, ref: int, error: Error | ErrorData) -> None:
        """Settle a command with an error."""
        data = error_data(error) if isinstance(error, Error) else error
        self.settle(ref, pack(Outcome(err=data)))

    def fits(self, ref: int, size: int) -> bool:
        """Whether Temporal accepts a command's payloads; if not, settle the command with an error."""
        text = ""
        used = self._task_bytes + size
        if size > MAX_PAYLOAD:
            text = too_large(size)
        elif used > MAX_TASK:
            text = (
                f"{used} bytes of arguments between two waits are too many for Temporal, whose limit is "
                f"{MAX_TASK} bytes here; wait for some of the calls before you make more"
            )
        else:
            self._task_bytes = used
        if text:
            self.refuse(ref, ErrorData(text, INVALID, False))
        return not text
