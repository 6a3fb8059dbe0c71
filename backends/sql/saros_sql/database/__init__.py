"""The database: connections, threads, schema, clock, wake-ups."""
