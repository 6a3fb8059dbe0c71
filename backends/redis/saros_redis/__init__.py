"""The Redis backend: durable workflows on one Redis or Valkey, with any number of workers."""
