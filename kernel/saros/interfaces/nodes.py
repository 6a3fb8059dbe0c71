"""Nodes: processes whose actors other processes can reach."""

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
    watches: list[tuple[str, Watcher]]  # pid of an actor, and the watcher to tell of its end


class NodeStore(Protocol):
    """The store's part: which nodes are alive, their mailboxes, and who watches their actors."""

    async def join_node(self, node: str) -> None:
        """Count a node of this process as alive from now until the store is closed or the process dies."""
        ...

    async def send_node(self, node: str, mail: NodeMail) -> bool:
        """Put mail into the mailbox of a node; False if the node is not alive. Mail may get lost on the way."""
        ...

    async def node_mail(self, node: str) -> list[NodeMail]:
        """Take all mail from the mailbox of a node of this process; block until there is some."""
        ...

    async def watch_node(self, pid: str, watcher: Watcher) -> None:
        """Remember that `watcher` must be told of the end of an actor if the actor's node dies."""
        ...

    async def unwatch_node(self, pid: str, watcher: Watcher) -> None: ...

    async def lost_nodes(self) -> list[LostNode]:
        """Nodes that have died and are not yet forgotten; block until there is one."""
        ...

    async def forget_node(self, node: str) -> None:
        """Forget a lost node, whose watchers have been told."""
        ...
