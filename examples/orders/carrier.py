"""Hands parcels to the carrier: an activity in Python, where libraries for real I/O are."""

from __future__ import annotations

from typing import Any

import saros
from saros import activity

STEPS = ("label", "pick-up", "depot")


async def ship(request: dict[str, Any]) -> dict[str, Any]:
    """Book a parcel, in steps that a later attempt does not repeat.

    :raises saros.Error: INVALID when there is no address.
    :raises ConnectionError: which Saros takes as kind Unavailable, and tries again.
    """
    if not request.get("address"):
        raise saros.Error(
            f"order {request.get('order_id')} has no address", saros.model.errors.INVALID, retryable=False
        )
    attempt = activity.info()
    done: list[str] = attempt.heartbeat_details or []
    for step in STEPS:
        if step in done:
            continue  # an earlier attempt got that far
        done.append(step)
        activity.heartbeat(done)
        if step == "pick-up" and attempt.attempt == 1 and request["address"] == "far away":
            raise ConnectionError("the carrier hung up")
    return {"tracking_number": f"TRK-{request.get('order_id')}", "attempts": attempt.attempt, "steps": done}
