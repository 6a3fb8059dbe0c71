"""One workflow in a worker: jobs become events of its program, and the program's commands become Temporal's."""
