"""The durable engine: workflows on any `saros.interfaces.store.Store`, by event sourcing and replay.

task = store.take()            mail for a run, with a fence
live = cache or replay         the run's program, brought to the task's history length
commit = live.deliver()        events in, commands out
store.commit(commit)           all of it, or nothing
"""

from .backend import StoreBackend
from .replay import replay

__all__ = ["StoreBackend", "replay"]
