"""What people ask of executions and workers, told in words: shared by backends, the command line and the console.

`open_commands` reads from a history what is under way; `reasons` says in a sentence why something does not move;
`pages` cuts lists into pages; `presence` announces workers; `occurrences` knows the times of schedules.
`StoreInsight` answers all of it for any store.
"""
