"""Behaviours of activities."""
