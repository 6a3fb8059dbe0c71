"""The console: executions, workers, queues and schedules of any backend in a browser."""

from __future__ import annotations
