"""Keys: partitions, and the names of keys that Python itself reads. The scripts build the others."""

from __future__ import annotations

import zlib
from typing import Final

RUNS: Final = "runs"
ACTIVITIES: Final = "activities"
OWN: Final = "own"
"""Activities that start within a workflow task."""
OUT: Final = "out"
"""With the three others, the kinds of streams from which workers take tasks."""


class Keys:
    """Partition p's keys all begin with the tag ``{prefix:p}``, so that they share a slot of a cluster.

    The partition of an execution follows from its id. Below the tag:

    m:<run>   hash: facts, status, fence, attributes     e:<id>  hash: the newest run
    h:<run>   list: history                              k:<id>  zset: keys of mail that came, by time
    i:<run>   list: inbox                                w:<id>  hash: watchers
    c:<run>   hash: open activities                      ch:<id> hash: children, their parent close policies
    d:<run>   hash: deadlines                            x:...   zsets: runs by start (x:closed: by end)
    ready:<queue>, act:<queue>, out   streams: runs with mail, activities, outbox
    l:<lane>  list: an empty string for the outbox entry in the stream, then the entries that wait behind it
    tm        zset: deadlines by time                    names, soft   registered names
    x:steady  hash: the steady clock (see fire.lua), and the number of the newest deadline
    workers   hash: announcements of workers             queues hash: names of task queues
    paused    hash: schedules that are paused (these three in the first partition only)
    nodes     zset: nodes by when their leases end       nm:<node> list: mail    nw:<node> hash: watches
    """

    def __init__(self, prefix: str, partitions: int) -> None:
        self.prefix = prefix
        self.partitions = partitions
        self.tags = tuple(f"{{{prefix}:{number}}}" for number in range(partitions))

    def partition(self, id: str) -> int:
        return 0 if self.partitions == 1 else zlib.crc32(id.encode()) % self.partitions

    def ready(self, partition: int, queue: str) -> str:
        return f"{self.tags[partition]}:ready:{queue}"

    def activities(self, partition: int, queue: str) -> str:
        return f"{self.tags[partition]}:act:{queue}"

    def own(self, partition: int, queue: str) -> str:
        """Return the stream of activities that workers started within their workflow tasks; it is never read."""
        return f"{self.tags[partition]}:loc:{queue}"

    def out(self, partition: int) -> str:
        return f"{self.tags[partition]}:out"

    def box(self, node: str) -> str:
        return f"{self.tags[self.partition(node)]}:nm:{node}"

    def index(self, partition: int, name: str) -> str:
        return f"{self.tags[partition]}:x:{name}"

    def event(self, partition: int, run_id: str) -> str:
        """Return the channel that announces every change of a run; see also `end`."""
        return f"{self.tags[partition]}:ev:{run_id}"

    def end(self, partition: int, run_id: str) -> str:
        return f"{self.tags[partition]}:end:{run_id}"


def settings_key(prefix: str) -> str:
    """Return the key of the settings on which all processes of an installation must agree."""
    return f"{prefix}:settings"


def mark_key(prefix: str) -> str:
    """Return the key of a write whose only purpose is that replicas confirm it."""
    return f"{prefix}:mark"
