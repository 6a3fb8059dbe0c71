"""The operations of the store, as functions that run within a transaction."""
