"""Redis: connections, scripts, the clock and what a server must be able to do."""
