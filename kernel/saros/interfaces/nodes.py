"""Nodes: processes whose actors others reach."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from ..model.execution import Watcher


class NodeMail(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A request to an actor of another node, or the reply to one.

    `op` is an event for the actor (`body` as in `saros.model.records.Event`), ASK (an `Ask`), EXIT or LINK_DOWN of
    `asker` (an `Outcome`), or DONE: the reply (an `Outcome`). A request without a reply is sent again.
    """

    id: str  # of the request
    sender: str  # the node that gets the reply
    op: str
    to: str  # a pid
    body: msgspec.Raw
    asker: str = ""  # a pid
    key: str = ""  # requests with the same key are carried out once


class LostNode(NamedTuple):
    node: str
    watches: list[tuple[str, Watcher]]  # pid of an actor, and who is to hear of its end


class NodeStore(Protocol):
    """The store's part: which nodes live, their mailboxes, and who watches their actors."""

    async def join_node(self, node: str) -> None:
        """Count a node of this process as alive from now on: until the store is closed, or the process dies."""
        ...

    async def send_node(self, node: str, mail: NodeMail) -> bool:
        """Put mail into the box of a node; False when that is not alive. Mail may get lost on the way."""
        ...

    async def node_mail(self, node: str) -> list[NodeMail]:
        """Take what is in the box of a node of this process; blocks until there is something."""
        ...

    async def watch_node(self, pid: str, watcher: Watcher) -> None:
        """Remember, for when its node dies, that `watcher` is to hear of the end of an actor."""
        ...

    async def unwatch_node(self, pid: str, watcher: Watcher) -> None: ...

    async def lost_nodes(self) -> list[LostNode]:
        """Nodes that have died and are not yet forgotten; blocks until there is one."""
        ...

    async def forget_node(self, node: str) -> None:
        """Take note that the watchers of a lost node have been told."""
        ...
