"""What the store does, as functions that run within a transaction."""
