"""Continue-as-new: the next run gets the arguments, the context and all mail that nobody has read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from temporalio import workflow

from saros.deployment import Deployment
from saros.program import ContinueAsNew, Message, pack

from .headers import outgoing
from .payloads import CONTEXT, MESSAGES, raw_values


def continue_as_new(deployment: Deployment, request: ContinueAsNew, late: Sequence[Message]) -> NoReturn:
    """End this run; `late` is mail that came after the program had closed."""
    found = {}
    if request.context != b"{}":
        found[CONTEXT] = bytes(request.context)
    mail = [*request.mail, *late]
    if mail:
        found[MESSAGES] = pack(mail)
    type_name = workflow.info().workflow_type
    if request.entry:
        type_name = deployment.workflow(request.entry).type_name
    with outgoing(found):
        workflow.continue_as_new(args=raw_values(request.args), workflow=type_name)
