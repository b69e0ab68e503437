"""What is made of replicates followed closely: chances, performance profiles, crossings."""

import itertools

import numpy as np
import pandas as pd
import pytest
from study.report.convergence_tables import chance, crossing, profile


def test_the_chance_of_a_hit_is_that_of_drawing_without_replacement():
    """Against all subsets."""
    for hit, of, draws in itertools.product(range(6), [5], range(1, 6)):
        subsets = list(itertools.combinations(range(of), draws))
        expected = np.mean([min(s) < hit for s in subsets])
        assert chance(hit, of, draws) == pytest.approx(expected, abs=1e-12)


def test_performance_ratios_start_at_one_and_failures_are_infinite():
    rows = [
        ("a", 0, "em", 10.0),
        ("a", 0, "newton", 5.0),
        ("b", 0, "em", 3.0),
        ("b", 0, "newton", np.inf),
        ("c", 0, "em", np.inf),
        ("c", 0, "newton", np.inf),
    ]
    costs = pd.DataFrame(rows, columns=["scenario", "replicate", "method", "passes"])
    ratios = profile(costs, "passes")
    assert ratios.loc[("a", 0)].tolist() == [2.0, 1.0]
    assert ratios.loc[("b", 0)].tolist() == [1.0, np.inf]
    assert len(ratios) == 2


def test_crossing():
    x = np.array([1.0, 2.0, 3.0])
    assert crossing(x, np.array([1.0, 0.5, -0.5])) == pytest.approx(2.5)
    assert crossing(x, np.array([1.0, 1.0, 1.0])) == np.inf
    assert crossing(x, np.array([-1.0, -1.0, -1.0])) == -np.inf
