"""The names of Saros's own operations on Temporal, and the arguments that they carry.

These names are in histories, so renaming one breaks running workflows.
"""

from __future__ import annotations

from typing import Final

import msgspec

from saros.model.execution import StartRequest
from saros.model.raw import Raw
from saros.model.records import CANCEL, EXIT, LINK_DOWN, Ask, Send, Spawn

PREFIX: Final = "saros."
"""The prefix of Saros's own activity types."""

# --- activities that a worker carries out for a workflow ------------------------------------------

ASK: Final = "saros.ask"
SEND: Final = "saros.send"
SPAWN: Final = "saros.spawn"
START: Final = "saros.start"
WATCH: Final = "saros.watch"
SIDE_EFFECT: Final = "saros.side_effect"

OWN: Final = b'"@own"'
"""The result of `SEND`, and of `ASK` to cancel, when the destination is the workflow that asks: it gets what it sent
before it learns of that.
"""

HEARTBEAT_S: Final = 60
"""The heartbeat timeout of `WATCH`, in seconds."""

# --- activities of a node (see `saros_temporal.nodes`) --------------------------------------------

PRESENCE: Final = "saros.presence"
PRESENT: Final = "saros.present"
END: Final = "saros.end"

# --- workflow types -------------------------------------------------------------------------------

NODE_TYPE: Final = "saros.node"
"""Requests to a node, and its presence."""
NAME_TYPE: Final = "saros.name"
"""A registered name."""

# --- signals --------------------------------------------------------------------------------------

SIGNALS: Final = {EXIT: "@exit", LINK_DOWN: "@link_down", CANCEL: "@cancel"}
"""The signals that are events other than messages. Their argument is the body of the event."""
EVENTS: Final = {name: op for op, name in SIGNALS.items()}

HUNG: Final = "@hung"
RELEASED: Final = "@released"
MARKS: Final = frozenset({HUNG, RELEASED})
"""Signals that are not events. The argument of `HUNG` says what was noticed."""

# --- failures -------------------------------------------------------------------------------------

HANDED_OVER: Final = "saros.handed_over"
"""The failure type of a local activity that ends because its worker stops."""


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """The argument of the activities that a worker carries out. `key` makes a repeated request harmless."""

    sender: str
    key: str = ""
    ask: Ask | None = None
    send: Send | None = None
    spawn: Spawn | None = None
    start: StartRequest | None = None
    pid: str = ""
    run_id: str = ""  # of the sender, with which its watch ends


class End(msgspec.Struct, frozen=True):
    """The argument of `END`: an actor has ended, and `watcher` is an actor of the notified node."""

    watcher: str
    ended: str
    outcome: Raw
    link: bool


def node_queue(node: str) -> str:
    """Return the task queue for requests to a node about its actors."""
    return f"saros-node-{node.removeprefix('@')}"


STACK_QUERY: Final = "__saros_stack"
"""The query that gives a `saros.interfaces.insight.Stack`."""
