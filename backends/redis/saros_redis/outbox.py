"""The outbox: what is to be delivered is read (see `readers`), and taken out here."""

from __future__ import annotations

from saros.interfaces.signals import Mail, Outgoing

from . import codec
from .core import Core, proof_of


class Outbox:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def delivered(self, entry: Outgoing, reply: Mail | None) -> None:
        core = self._core
        place = core.held.get(proof_of(entry))
        if place is None:
            return  # given back, and delivered by another worker
        item = codec.mail_item(reply) if reply is not None else ""
        run_id = reply.run_id if reply is not None else ""
        args = [place.entry, entry.id, run_id, item, entry.key]
        await core.run("delivered", place.partition, args, core.patience)
        core.held.drop(proof_of(entry))  # without an answer it stays, for the outbox worker says it again
