"""JSON that passes through unread, as a field of a struct."""

from typing import Final

import msgspec

Raw = msgspec.Raw

ABSENT: Final = Raw(b"")
"""The default of a field that may be missing. It is falsy, while every JSON text is truthy."""
