"""The public name of `saros_testing.conformance`."""

from saros_testing.conformance import BEHAVIOURS, TOGETHER, Behaviour, Case, run

__all__ = ["BEHAVIOURS", "TOGETHER", "Behaviour", "Case", "run"]
