"""The outbox: its entries are read in `saros_redis.leases`, and removed here once delivered."""

from __future__ import annotations

from saros.interfaces.signals import Mail, Outgoing

from .. import codec
from ..leases.intake import Intake
from ..leases.leases import Leases, proof_of
from ..server.partitions import Partitions


class Outbox:
    def __init__(self, partitions: Partitions, leases: Leases, intake: Intake) -> None:
        self._partitions = partitions
        self._leases = leases
        self._intake = intake

    async def delivered(self, entry: Outgoing, reply: Mail | None) -> None:
        place = self._leases.get(proof_of(entry))
        if place is None:
            return  # given back, and delivered by another worker
        item = codec.mail_item(reply) if reply is not None else ""
        run_id = reply.run_id if reply is not None else ""
        wanted = self._intake.wanted(tasks=False, activities=())
        args = [place.entry, entry.id, run_id, item, entry.key, entry.lane, wanted]
        more = await self._partitions.run("delivered", place.partition, args, self._partitions.patience)
        self._leases.drop(
            proof_of(entry)
        )  # without an answer the entry stays; the outbox worker repeats this
        await self._intake.absorb(place.partition, more)
