"""Behaviours of timers."""
