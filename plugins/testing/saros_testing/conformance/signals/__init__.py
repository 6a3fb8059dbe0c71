"""Behaviours of signals and other messages."""
