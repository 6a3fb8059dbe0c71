"""Checks of an entry's code before it runs, for `saros check` and for editors."""
