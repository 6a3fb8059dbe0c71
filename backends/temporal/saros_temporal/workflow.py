"""The one dynamic workflow, which makes Temporal's worker take every workflow type; `SarosRunner` runs them."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import RawValue


@workflow.defn(dynamic=True)
class SarosWorkflow:
    """Every workflow type."""

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> RawValue:
        raise RuntimeError("this worker lacks the workflow runner of saros-temporal")
