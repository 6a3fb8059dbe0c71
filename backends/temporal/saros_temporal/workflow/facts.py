"""Facts that a program reads in the middle of a run, taken from the workflow's history."""

from __future__ import annotations

import hmac
import os
from collections.abc import MutableMapping
from typing import Any, Final, Protocol

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.workflow import Info

from saros.model.errors import INVALID, Error
from saros.model.records import pack
from saros.model.search import admitted, refused_values
from saros.model.values import Json

from ..wire.payloads import SECRET, put_json
from .workflow_state import Environment


class FactState(Protocol):
    """The part of the workflow that facts use; see `WorkflowState`."""

    info: Info
    seed: int

    def add(self) -> WorkflowCommand: ...


class WorkflowFacts:
    """See `saros.interfaces.program.Facts`."""

    def __init__(self, state: FactState, env: Environment) -> None:
        self.replaying = False
        self.name = ""  # of the entry and the execution, in logs
        self.info = info = state.info
        self.about: dict[str, Any] = {  # the fields of log records
            "workflow_id": info.workflow_id,
            "run_id": info.run_id,
            "workflow_type": info.workflow_type,
            "attempt": info.attempt,
        }
        self.env = env
        self._state = state
        self._versions: dict[str, int] = {}
        self._recorded: set[str] = set()  # patches that have a marker in the history
        self._patches: dict[str, bool] = {}  # the answers so far, which never change
        self._reported = (0, 0)
        self._own_length = 0  # events and bytes since the last news from the server
        self._own_size = 0
        self._upserts = 0
        self.given = ""  # random bits from the starter
        self._secret = ""  # this run's, once they are needed
        self._secrets = 1  # the number of these

    def begin(self, replaying: bool, length: int, size: int) -> bool:
        """Note the facts of an activation; return whether it begins another workflow task."""
        self.replaying = replaying
        if self._reported == (length, size):
            return False
        self._reported = (length, size)
        self._own_length = self._own_size = 0
        return True

    def count(self, body: Json) -> None:
        """Count an event or command: the server's numbers do not change until the next workflow task."""
        self._own_length += 1
        self._own_size += len(body) + 32

    def history(self) -> tuple[int, int]:
        length, size = self._reported
        return length + self._own_length, size + self._own_size

    # --- patches ------------------------------------------------------------------------------

    def has_patch(self, id: str) -> None:
        """Note that the history has the marker of a patch."""
        self._recorded.add(id)

    def patched(self, id: str) -> bool:
        """Whether this execution follows a patch; one that has passed this place without it never does."""
        known = self._patches.get(id)
        if known is None:
            known = self._patches[id] = not self.replaying or id in self._recorded
            if known:
                self._state.add().set_patch_marker.patch_id = id
        return known

    def version_of(self, change_id: str, lowest: int, highest: int) -> tuple[int, bool]:
        """A change's version is the patch ``id#number``; no marker means the lowest.

        A recorded version is returned even if it is out of range, so that the program can name it in its error.
        """
        known = self._versions.get(change_id)
        if known is None:
            recorded = self._recorded_version(change_id)
            if recorded is None and not self.replaying:
                recorded = highest
            if recorded is not None:
                self.patched(f"{change_id}#{recorded}")
            known = self._versions[change_id] = lowest if recorded is None else recorded
        return known, False

    def _recorded_version(self, change_id: str) -> int | None:
        found = (id.removeprefix(f"{change_id}#") for id in self._recorded if id.startswith(f"{change_id}#"))
        return max((int(number) for number in found if number.removeprefix("-").isdecimal()), default=None)

    settles_side_effects = True  # Temporal has no marker that is read at once; a local activity's will do

    def recorded(self, ref: int) -> Json | None:
        return None

    def log(self, level: str, message: str, fields: Json) -> None:
        if not self.replaying:
            self.env.deployment.log(level, message, fields, self.name, self.about)

    def heartbeat(self, details: Json) -> None:
        raise Error("a workflow has no heartbeat; only activities do", INVALID, retryable=False)

    def is_canceled(self) -> bool:
        return False

    def secret(self) -> str:
        """See `saros.interfaces.program.Facts`.

        Temporal's own seed is a hash of the run id. So whoever starts a workflow puts random bits into a header,
        which a codec hides from the server, and the seed only tells runs with the same header apart. Other SDKs
        do not: then the bits are in a marker.
        """
        if not self._secret and self.given:
            self._secret = _derived(self.given, str(self._state.seed))
        elif not self._secret:
            marker = f"{_SECRET}{self._secrets}/"
            found = next((id for id in self._recorded if id.startswith(marker)), None)
            if (
                found is None and self.replaying
            ):  # the recorded code did not ask, so there is no place for a marker
                self._secret = _derived(marker, self.info.run_id)
            else:
                self._secret = os.urandom(32).hex() if found is None else found.removeprefix(marker)
                self._state.add().set_patch_marker.patch_id = marker + self._secret
        return self._secret

    def hand_on(self, headers: MutableMapping[str, Payload], name: str) -> None:
        """Give random bits to an execution that this one starts, if this one was given some."""
        if self.given:
            put_json(headers[SECRET], pack(_derived(self.secret(), name)))

    def reseed(self) -> None:
        """Drop the random bits: the run has been reset, and later values must differ from the earlier ones."""
        self._secret = ""
        self._secrets += 1

    def admit_attributes(self, search: Json) -> tuple[Json, str | None]:
        """Record the refused names as a patch marker, so that a replay decides as the first run did."""
        return admitted(search, {**self._refused_names(search), **refused_values(search)})

    def _refused_names(self, search: Json) -> dict[str, str]:
        self._upserts += 1
        marker = f"saros.refused/{self._upserts}/"  # no change id and "#": a version's
        if self.replaying:
            found = next((id for id in self._recorded if id.startswith(marker)), None)
            if found is None:
                return {}
            self.patched(found)
            names = msgspec.json.decode(found.removeprefix(marker), type=list[str])
            return {name: self.env.search.refusals(search).get(name, _REFUSED) for name in names}
        refused = self.env.search.refusals(search)
        if refused:
            self.patched(marker + msgspec.json.encode(sorted(refused)).decode())
        return refused


_SECRET: Final = "saros.secret/"
_REFUSED = "the server did not know some of these search attributes when the workflow asked for them"


def _derived(secret: str, name: str) -> str:
    return hmac.digest(secret.encode(), name.encode(), "sha256").hex()
