"""Saros on Temporal: a `Backend` and the third driver of programs, inside one dynamic workflow."""
