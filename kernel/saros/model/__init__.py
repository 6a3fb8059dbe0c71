"""The model: plain data, and the tools that every room needs to work with it.

Values and errors, the records of a history, executions, list queries, clocks, durations and background jobs.
Nothing here does I/O, and nothing here imports from another room.
"""
