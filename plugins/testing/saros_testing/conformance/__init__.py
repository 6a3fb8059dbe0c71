"""The conformance suite: what every backend must do, as small apps with expected results.

    from saros.testing.conformance import BEHAVIOURS, TOGETHER, run

    @pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=str)
    def test_conforms(behaviour, tmp_path):
        run(behaviour, "myscheme://localhost", tmp_path)

Where several processes can share the backend, its most important behaviours run with two workers, too:

    @pytest.mark.parametrize("behaviour", TOGETHER, ids=str)
    def test_conforms_with_two_workers(behaviour, tmp_path):
        run(behaviour, "myscheme://localhost", tmp_path, workers=2)

The suite runs in real time, because not every backend can skip it, so timers are short. A backend names what it
cannot do, with the reason, as `limits`; the suite skips such a behaviour and prints the reason.
"""

from .suite import BEHAVIOURS, TOGETHER, Behaviour, Case, run

__all__ = ["BEHAVIOURS", "TOGETHER", "Behaviour", "Case", "run"]
