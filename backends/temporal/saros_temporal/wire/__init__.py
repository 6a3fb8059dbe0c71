"""Temporal's protobufs: payloads, failures, commands, start requests and history events."""
