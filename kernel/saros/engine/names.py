"""Names of workflows."""

from __future__ import annotations

import msgspec

from ..execution import Pid, StartRequest
from ..store import Store


async def under_its_name(store: Store, request: StartRequest) -> StartRequest:
    """A start under a name that a running workflow has is a start of that workflow, whatever id it asks for."""
    taken = await store.lookup(request.name) if request.name else None
    pid = Pid.parse(taken) if taken else None
    if pid is None or not pid.is_workflow or pid.id == request.id:
        return request
    return msgspec.structs.replace(request, id=pid.id)
