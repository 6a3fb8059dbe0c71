"""Saros on Temporal: a `saros.backend.Backend` and the third driver of programs, inside one dynamic workflow."""
