"""The promises of fit() on random inputs: the first few of what fuzz.py runs by the thousand."""

from tests.models.fuzz import run


def test_promises_hold_of_random_inputs():
    ends, faults = run(60, seed=1)
    assert faults == []
    refused = sum(times for end, times in ends.items() if end.startswith("refused"))
    assert refused <= 0.1 * ends.total()
    assert ends["ok"] > 30
