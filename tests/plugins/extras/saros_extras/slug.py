"""The Python half of the module ``slug``."""

from __future__ import annotations

import re
import unicodedata

from saros.model.errors import INVALID, Error


def make(text: bytes) -> bytes:
    """A text for URLs. Workflows may ask for it, so it depends on nothing but its argument.

    :raises Error: INVALID, when nothing would be left.
    """
    plain = unicodedata.normalize("NFKD", text.decode("utf-8", "replace")).encode("ascii", "ignore").lower()
    slug = re.sub(rb"[^a-z0-9]+", b"-", plain).strip(b"-")
    if not slug:
        raise Error("slug.make: no letter or digit is left", INVALID, retryable=False)
    return slug
