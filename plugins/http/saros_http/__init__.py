"""The HTTP front door of Saros. `serving(app)` tells where an opened app listens."""

from __future__ import annotations

from .server.listening import serving

__all__ = ["serving"]
