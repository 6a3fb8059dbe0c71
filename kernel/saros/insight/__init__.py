"""Insight into executions and workers for people, shared by backends, the command line and the console.

`open_commands` reads the open commands from a history; `reasons` explains in a sentence why an execution does not
continue; `pages` divides lists into pages; `presence` announces workers; `occurrences` computes the times of
schedules. `StoreInsight` combines them for any store.
"""
