"""Check that the source of an entry holds its method, by loading it as a program does."""

from __future__ import annotations

from saros.entries import Entry
from saros.model.errors import CodeError, Error
from saros.model.values import Json

from ..program import LuaProgram


class NoFacts:
    """Facts for code that does not run: nothing is called, and log records are dropped."""

    replaying = True
    settles_side_effects = False

    def history(self) -> tuple[int, int]:
        return 0, 0

    def version_of(self, change_id: str, lowest: int, highest: int) -> tuple[int, bool]:
        return highest, False

    def recorded(self, ref: int) -> Json | None:
        return None

    def log(self, level: str, message: str, fields: Json) -> None:
        pass

    def heartbeat(self, details: Json) -> None:
        pass

    def is_canceled(self) -> bool:
        return False

    name = "check"

    def secret(self) -> str:
        return ""

    def admit_attributes(self, search: Json) -> tuple[Json, str | None]:
        return search, None


def check_method(program: LuaProgram, entry: Entry) -> None:
    """Load an entry's code without running its function, and close the program.

    :raises CodeError: with file:line.
    """
    try:
        program.load()
    except CodeError:
        raise
    except Error as error:
        raise CodeError(error.message, where=error.where or entry.where()) from None
    finally:
        program.close()
