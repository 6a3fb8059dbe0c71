"""The command line `saros`. Commands import what they need only when they run, so that `saros --help` is quick."""

from .main import main

__all__ = ["main"]
