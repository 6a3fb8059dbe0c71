"""How runs are created: by a start request, continue-as-new, a retry policy or a cron schedule."""

from __future__ import annotations

import os

import msgspec

from ..interfaces.deployment import Deployment
from ..interfaces.history import NewRun
from ..interfaces.signals import Mail
from ..interfaces.store import Store
from ..model.errors import ErrorData
from ..model.execution import Pid, Run, StartRequest, new_id
from ..model.raw import ABSENT
from ..model.records import CANCEL, MESSAGE, START, CancelRequest, ContinueAsNew, Message, Start, pack
from ..model.timing import MS, next_cron
from ..model.values import bounded, object_of


class _Info(msgspec.Struct):
    """What ``workflow.info()`` returns for a run; fields that do not apply are absent."""

    workflow_id: str
    run_id: str
    workflow_type: str
    task_queue: str
    attempt: int
    start_time: int
    first_run_id: str
    namespace: str = "default"
    parent: str | msgspec.UnsetType = msgspec.UNSET
    search_attributes: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    continued_from: str | msgspec.UnsetType = msgspec.UNSET


def first(request: StartRequest, now: int) -> NewRun:
    """The first run that a start request makes.

    :raises Error: INVALID for arguments and a context that are too large together.
    """
    bounded(request.args, f"the arguments and the context of {request.id} have", len(request.context))
    run_id = new_id()
    run = Run(
        request.id,
        run_id,
        request.entry,
        request.type,
        request.worker,
        request.task_queue,
        now,
        request.args,
        request.context,
        request.options,
        request.parent,
        first_run_id=run_id,
        first_start_time=now,
        request_id=request.request_id,
        name=request.name,
        trace=request.trace,
    )
    delay = request.options.start_delay * MS
    if request.options.cron_schedule:
        delay = max(delay, next_cron(request.options.cron_schedule, now) - now)
        run = msgspec.structs.replace(run, due=now + delay)
    return _with_mail(run, request.messages, delay)


def continued(
    run: Run, request: ContinueAsNew, deployment: Deployment, now: int, search: dict[str, msgspec.Raw]
) -> NewRun:
    """The run that continues another at the request of its code.

    As on Temporal, it keeps the options of the run except the cron schedule, its memo is that of the start, and
    its search attributes are those that the run had at its end.

    :param search: the search attributes of the run.
    """
    entry_id, type_name = run.entry, run.type
    if request.entry:
        entry = deployment.registry.workflow(request.entry)
        entry_id, type_name = entry.id, entry.type_name
    context = request.context if bytes(request.context) != b"{}" else run.context
    options = msgspec.structs.replace(
        run.options, cron_schedule="", search_attributes=msgspec.Raw(object_of(search)) if search else ABSENT
    )
    following = msgspec.structs.replace(
        _following(run, now),
        entry=entry_id,
        type=type_name,
        args=request.args,
        context=context,
        options=options,
        attempt=1,
    )
    return _with_mail(following, request.mail, 0, request.cancels)


def after(run: Run, now: int, error: ErrorData | None = None, wall: int | None = None) -> NewRun | None:
    """The run that follows an ended one by its retry policy or cron schedule, if any.

    It has the memo and the search attributes of the start. The store drops it if it would begin after the execution
    timeout (see `Close`).

    :param now: the time of the run, which never goes back.
    :param wall: the time of day, which cron schedules follow even when it is set; default: `now`.
    """
    options = run.options
    policy = options.retry_policy
    following: NewRun | None = None
    if error is not None and policy is not None:
        tries_left = not policy.maximum_attempts or run.attempt < policy.maximum_attempts
        if tries_left and error.may_retry() and error.kind not in policy.non_retryable_error_types:
            again = msgspec.structs.replace(_following(run, now), attempt=run.attempt + 1)
            following = _with_mail(again, (), policy.delay_ms(run.attempt) * MS)
    if following is None and options.cron_schedule:
        wall = now if wall is None else wall
        due = next_cron(options.cron_schedule, wall)
        if due == run.due:  # the clock was set back since: this run was the one of that date
            due = next_cron(options.cron_schedule, due)
        again = msgspec.structs.replace(_following(run, now), attempt=1, due=due)
        following = _with_mail(again, (), due - wall)
    return following


def _following(run: Run, now: int) -> Run:
    return msgspec.structs.replace(run, run_id=new_id(), start_time=now, continued_from=run.run_id, trace="")


def _with_mail(
    run: Run, messages: tuple[Message, ...], delay: int, cancels: tuple[CancelRequest, ...] = ()
) -> NewRun:
    info = _Info(
        run.id,
        run.run_id,
        run.type,
        run.task_queue,
        run.attempt,
        run.start_time,
        run.first_run_id,
        parent=run.parent.pid if run.parent else msgspec.UNSET,
        search_attributes=run.options.search_attributes or msgspec.UNSET,
        continued_from=run.continued_from or msgspec.UNSET,
    )
    start = Start(
        run.args,
        run.context,
        msgspec.Raw(pack(info)),
        str(run.pid),
        run.entry,
        secret=os.urandom(32).hex(),
    )
    mails = [Mail(START, 0, pack(start), run.run_id)]
    mails += [Mail(MESSAGE, 0, pack(message)) for message in messages]
    mails += [Mail(CANCEL, 0, pack(cancel)) for cancel in cancels]
    return NewRun(run, tuple(mails), delay)


async def under_its_name(store: Store, request: StartRequest) -> StartRequest:
    """The request with the id of the running workflow that has its name, if any: it starts that workflow."""
    taken = await store.lookup(request.name) if request.name else None
    pid = Pid.parse(taken) if taken else None
    if pid is None or not pid.is_workflow or pid.id == request.id:
        return request
    return msgspec.structs.replace(request, id=pid.id)
