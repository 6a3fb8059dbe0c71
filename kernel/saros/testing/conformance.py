"""The public name of `saros_testing.conformance`."""

from saros_testing.conformance import BEHAVIOURS, Behaviour, Case, run

__all__ = ["BEHAVIOURS", "Behaviour", "Case", "run"]
