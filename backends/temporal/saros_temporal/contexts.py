"""For whom the payloads of commands are: codecs and stores of payloads may want to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio.api.enums.v1 import CommandType
from temporalio.converter import (
    ActivitySerializationContext,
    SerializationContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
    WorkflowSerializationContext,
)

if TYPE_CHECKING:
    from temporalio.worker._command_aware_visitor import CommandInfo
    from temporalio.workflow import Info

    from .execution import Execution


def serialization_context(execution: Execution, command: CommandInfo | None) -> SerializationContext:
    """The activity or workflow for which a command's payloads are; this workflow for all others."""
    info = execution.info
    if command is not None:
        seq = command.command_seq
        if command.command_type == CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK:
            call = execution.calls.pending.get(seq)
            if call is not None:
                return ActivitySerializationContext(
                    namespace=info.namespace,
                    activity_id=call.options.id or None,
                    activity_type=call.name,
                    activity_task_queue=call.queue or info.task_queue,
                    workflow_id=info.workflow_id,
                    workflow_type=info.workflow_type,
                    is_local=not call.queue,
                )
        target = _target(execution, command)
        if target is not None:
            return WorkflowSerializationContext(info.namespace, target)
    return WorkflowSerializationContext(info.namespace, info.workflow_id)


def store_context(execution: Execution, command: CommandInfo | None) -> StorageDriverStoreContext | None:
    """The workflow with which a command's payloads are kept, if not with this one: a child, the target of a
    signal, and for a result the parent.
    """
    if command is None:
        return None
    info = execution.info
    target = _target(execution, command)
    if target is not None:
        return StorageDriverStoreContext(StorageDriverWorkflowInfo(namespace=info.namespace, id=target))
    parent = info.parent
    if (
        command.command_type == CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION
        and parent is not None
        and info.continued_run_id is None
    ):
        found = StorageDriverWorkflowInfo(
            namespace=parent.namespace, id=parent.workflow_id, run_id=parent.run_id
        )
        return StorageDriverStoreContext(found)
    return None


def own_store_context(info: Info) -> StorageDriverStoreContext:
    """The workflow itself."""
    return StorageDriverStoreContext(
        StorageDriverWorkflowInfo(
            namespace=info.namespace, id=info.workflow_id, run_id=info.run_id, type=info.workflow_type
        )
    )


def _target(execution: Execution, command: CommandInfo) -> str | None:
    """The id of another workflow for which a command is."""
    children, seq = execution.children, command.command_seq
    if command.command_type == CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION:
        child = children.pending.get(seq)
        return child.id if child is not None else None
    if command.command_type == CommandType.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION:
        signal = children.signals.get(seq)
        return signal.target if signal is not None else None
    return None
