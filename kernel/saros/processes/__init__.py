"""The process host: functions and plain processes, run at once on the event loop.

Calls, processes and HTTP handlers are all *actors*: a program with a pid and a mailbox. They live in this
process and end with it; what must survive is a workflow.
"""

from .actor import Actor
from .attempts import Attempt, Attempts
from .host import ProcessHost

__all__ = ["Actor", "Attempt", "Attempts", "ProcessHost"]
