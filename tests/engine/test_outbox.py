"""What a stopping worker has taken from the outbox and not delivered is delivered when one starts again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import saros
from saros.engine import outbox
from saros.interfaces.nodes import NodeMail
from saros.model.records import DONE, Message, outcome_ok, unpack
from saros_testing import lua_app

from .conftest import Runner

SENDS = """
for n = 1, 3 do process.send("@silent|nobody", "n" .. n, n) end
process.inbox():receive()
"""


def topic(mail: NodeMail) -> str:
    return unpack(mail.body, Message).topic


@pytest.mark.parametrize("scheme", ["memory", "sqlite"])
def test_a_delivery_that_outlasts_a_stop_holds_up_no_lane(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(outbox, "LIMIT_S", 0.2)
    lua_app(tmp_path, workflows={"sends": SENDS})
    url = "memory://" if scheme == "memory" else f"sqlite:///{tmp_path}/saros.db"

    async def scenario() -> None:
        async with saros.open(tmp_path, backend=url) as app:
            store: Any = app.backend.store  # type: ignore[attr-defined]
            await store.join_node("@silent")
            await app.start("app:sends")
            (first,) = await store.node_mail("@silent")
            await app.stop_workers()
            app.start_workers()
            topics = [topic(first)]
            while topics[-1] != "n3":
                for mail in await store.node_mail("@silent"):
                    reply = NodeMail(mail.id, "@silent", DONE, mail.sender, msgspec.Raw(outcome_ok(b"true")))
                    await store.send_node(mail.sender, reply)
                    topics.append(topic(mail))
            assert topics == ["n1", "n1", "n2", "n3"]

    run(scenario())
