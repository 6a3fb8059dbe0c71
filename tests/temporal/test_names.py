"""Names that every process of a namespace knows."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

FLOW = """
return function(name)
  local ok = process.registry.register(name)
  local message = process.inbox():receive()
  return { ok = ok, data = message:payload():data() }
end
"""
SENDER = """
return function(name)
  local pid = process.registry.lookup(name)
  local again, taken = process.registry.register(name)
  local ok, err = process.send(name, "hello", 7)
  return { pid = pid, ok = ok, taken = taken and taken:kind(), again = again }
end
"""


def test_a_name_is_known_in_other_processes_until_its_owner_ends(
    run: Any, opener: Any, write_app: Any, until: Any, tmp_path: Path
) -> None:
    name = f"name-{uuid.uuid4().hex[:8]}"

    async def scenario() -> Any:
        async with (
            opener(write_app(tmp_path / "one", flow=FLOW)) as one,
            opener(write_app(tmp_path / "two", sender=SENDER)) as two,
        ):
            owner = await one.start("app:flow", name)
            await until(lambda: two.backend.lookup(name))
            sender = await two.start("app:sender", name)
            found = await sender.result(90), await owner.result(90), owner.pid
            listed = [info.type async for info in two.list() if info.type.startswith("saros.")]
            return found, listed, await two.backend.lookup(name), await two.backend.unregister(name)

    (sent, received, pid), listed, later, freed = run(scenario())
    assert sent == {"pid": pid, "ok": True, "taken": "AlreadyExists"}
    assert received == {"ok": True, "data": 7}
    assert (listed, later, freed) == ([], None, False)
