"""The HTTP server of Saros. `serving(app)` returns the addresses at which an opened app listens."""

from __future__ import annotations

from .server.listening import serving

__all__ = ["serving"]
