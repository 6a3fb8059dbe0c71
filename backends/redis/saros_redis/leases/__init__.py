"""Leases: how this process requests tasks, renews their leases, and gives them back."""
