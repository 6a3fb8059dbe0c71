"""PostgreSQL: connections, locks, clocks and wake-ups. Everything else is as with SQLite."""
