"""The port of histories: attributes, answers and the closing command of a workflow."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Protocol

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.workflow import Info

from saros.model.errors import CANCELED, INVALID, ErrorData
from saros.model.execution import CANCELED as STATUS_CANCELED
from saros.model.execution import COMPLETED, CONTINUED, FAILED
from saros.model.raw import Raw
from saros.model.records import Answer, Attributes, ContinueAsNew, VersionMark, pack
from saros.model.values import Json

from ..wire.failures import CANCELED_ERROR, failure
from ..wire.payloads import CANCELED_MEMO, MAX_PAYLOAD, memo_name, put_json, too_large
from ..wire.start_requests import Late, put_continuation
from .workflow_state import Ending, Environment


class HistoryState(Protocol):
    """The part of the workflow that this port uses; see `WorkflowState`."""

    info: Info
    ending: Ending | None
    canceled: bool

    def add(self) -> WorkflowCommand: ...


class UpdateAnswers(Protocol):
    def answer(self, answer: Answer) -> bool:
        """Accept the program's answer; return False when it does not answer an update."""
        ...


class SideEffects(Protocol):
    def record(self, ref: int, value: Json) -> None:
        """Write the value of a side effect into the history."""
        ...


class Secrets(Protocol):
    def hand_on(self, headers: MutableMapping[str, Payload], name: str) -> None:
        """Give random bits to an execution that this one starts."""
        ...


class HistoryPort:
    """See `saros.interfaces.history.History`.

    :attr starter: the JSON of the pid that started the workflow, if known.
    """

    def __init__(
        self,
        state: HistoryState,
        env: Environment,
        secrets: Secrets,
        updates: UpdateAnswers,
        side_effects: SideEffects,
    ) -> None:
        self.starter: Json = b""
        self.closed = False
        self._state = state
        self._env = env
        self._secrets = secrets
        self._updates = updates
        self._side_effects = side_effects
        self._answer: Answer | None = None  # to the present query

    def answer(self, answer: Answer) -> None:
        if not self._updates.answer(answer):
            self._answer = answer

    def take_answer(self) -> Answer | None:
        """Return the program's answer to a query, if there is one."""
        answer, self._answer = self._answer, None
        return answer

    def attributes(self, upserts: Attributes) -> None:
        if upserts.search:
            fields = self._state.add().upsert_workflow_search_attributes.search_attributes.indexed_fields
            for name, payload in self._env.search.upserts(upserts.search).items():
                fields[name].CopyFrom(payload)
        self._upsert_memo({memo_name(name): item for name, item in upserts.memo.items()})

    def _upsert_memo(self, memo: dict[str, msgspec.Raw]) -> None:
        """Change the memo, by Temporal's names; a null removes the key."""
        if memo:
            fields = self._state.add().modify_workflow_properties.upserted_memo.fields
            for name, item in memo.items():
                put_json(fields[name], item)
                if fields[name].data == b"[]":  # the server also treats exactly this as a removal
                    fields[name].data = b"[ ]"

    def version(self, mark: VersionMark) -> None:
        pass  # the patch marker is the record

    def side_effect(self, ref: int, value: Json) -> None:
        self._side_effects.record(ref, value)

    # --- the end ------------------------------------------------------------------------------

    def continue_as_new(self, request: ContinueAsNew) -> None:
        self._state.ending = request

    def complete(self, result: Json) -> None:
        self._state.ending = result
        if len(result) > MAX_PAYLOAD:
            self._state.ending = ErrorData(too_large(len(result)), INVALID, False)

    def fail(self, error: ErrorData) -> None:
        self._state.ending = error

    def close(self, ending: Ending, late: Late) -> str:
        """Append the closing command, and return the status that the run has then."""
        self.closed = True
        state = self._state
        if isinstance(ending, ContinueAsNew):
            self._continue(ending, late)
            return CONTINUED
        if state.canceled and state.info.cron_schedule:
            if isinstance(ending, bytes):  # the server would retry it, as after a failure
                ending = CANCELED_ERROR
            self._cancel(ending)
            return STATUS_CANCELED
        if isinstance(ending, bytes):
            put_json(state.add().complete_workflow_execution.result, ending)
            return COMPLETED
        if state.canceled and ending.kind == CANCELED:
            self._cancel(ending)
            return STATUS_CANCELED
        last = state.canceled and bool(state.info.retry_policy)
        state.add().fail_workflow_execution.failure.CopyFrom(failure(ending, last))
        return FAILED

    def _continue(self, request: ContinueAsNew, late: Late) -> None:
        command = self._state.add().continue_as_new_workflow_execution
        registry = self._env.deployment.registry
        type_name = (
            registry.workflow(request.entry).type_name if request.entry else self._state.info.workflow_type
        )
        put_continuation(command, request, type_name, late, self.starter)
        self._secrets.hand_on(command.headers, "next run")

    def _cancel(self, error: ErrorData) -> None:
        self._upsert_memo({CANCELED_MEMO: Raw(pack(error))})
        self._state.add().cancel_workflow_execution.SetInParent()
