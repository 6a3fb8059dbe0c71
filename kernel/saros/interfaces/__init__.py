"""What the kernel requires of plugins, and what it offers them.

`history`, `timers`, `signals` and `activities` are the four words of the kernel. Each module has both halves of its
word: the *port*, which a driver gives to a program, and the *store's part*, which a database supplies. `store` joins
the four parts with the one atomic `commit`. `backend` is what clients, workers and the command line call.

`insight` is the fifth part of a store, and what clients ask to see why something does not move.

`program` and `runtime` are for languages, `module` for what ``require`` finds, `nodes` and `host` for processes that
reach each other, and `deployment` is the app that a backend runs.
"""
