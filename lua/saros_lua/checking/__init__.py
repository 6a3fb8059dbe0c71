"""What can be said of an entry's code before it runs, for `saros check` and for editors."""
