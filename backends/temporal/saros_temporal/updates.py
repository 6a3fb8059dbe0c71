"""Updates: each is accepted, and completed or rejected when the program has answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from temporalio.bridge.proto.workflow_activation import DoUpdate
from temporalio.bridge.proto.workflow_commands import UpdateResponse

from saros.model.errors import NOT_FOUND, UNAVAILABLE, Error, ErrorData
from saros.model.records import UPDATE, Answer, ContinueAsNew, HandlerCall, pack
from saros.model.values import error_data

from .failures import failure
from .payloads import json_array, put_json

if TYPE_CHECKING:
    from .execution import Execution


NEXT_RUN: Final = ErrorData("the workflow continues as new before it hears of the update", UNAVAILABLE, True)


class Updates:
    """The updates of one workflow that it has not answered yet."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._open: dict[str, str] = {}  # id -> the instance that Temporal wants to hear of
        self._hearing = ""  # the one that the program hears just now
        self._answer: Answer | None = None  # to that one

    def begin(self, job: DoUpdate) -> None:
        """Have the program carry out an update.

        It is accepted if its arguments are data. That the program's validator refuses is recorded as its
        answer: the validator is the program's code, and a replay has to run it at the same place.
        """
        execution, instance = self._execution, job.protocol_instance_id
        execution.calls.news()
        try:
            body = pack(HandlerCall(job.id, job.name, json_array(job.input)))
        except Error as error:
            self._reject(instance, error_data(error))
            return
        self._response(instance).accepted.SetInParent()
        if isinstance(execution.ending, ContinueAsNew):  # whoever asked asks the next run
            self._reject(instance, NEXT_RUN)
            return
        if execution.ending is not None:
            text = "the workflow has ended; only running executions are updated"
            self._reject(instance, ErrorData(text, NOT_FOUND, False))
            return
        self._open[job.id] = instance
        self._hearing = job.id
        execution.post(UPDATE, 0, body)
        self._hearing = ""
        answer, self._answer = self._answer, None
        if answer is not None:
            self._complete(instance, answer)

    def answer(self, answer: Answer) -> bool:
        """Take the program's answer; False when it is to no update."""
        instance = self._open.pop(answer.id, None)
        if instance is None:
            return False
        if answer.id == self._hearing:
            self._answer = answer
        else:
            self._complete(instance, answer)
        return True

    def end(self, unheard: set[str]) -> None:
        """Reject what the workflow has not answered when it ends.

        :param unheard: ids of updates that the program has not heard of, which the next run may.
        """
        for id, instance in self._open.items():
            error = ErrorData("the workflow ended before it answered the update", UNAVAILABLE)
            self._reject(instance, NEXT_RUN if id in unheard else error)

    def _complete(self, instance: str, answer: Answer) -> None:
        if answer.err is not None:
            self._reject(instance, answer.err)
        else:
            put_json(self._response(instance).completed, answer.ok or b"null")

    def _reject(self, instance: str, error: ErrorData) -> None:
        self._response(instance).rejected.CopyFrom(failure(error))

    def _response(self, instance: str) -> UpdateResponse:
        response = self._execution.add().update_response
        response.protocol_instance_id = instance
        return response
