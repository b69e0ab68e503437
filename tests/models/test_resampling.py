"""Cross-validation and the bootstrap test: laws on small samples."""

import numpy as np
import pytest

from models.mixture import Mixture
from models.model import MixtureModel
from models.resampling import cross_validated, folds, ratio_test
from models.sample import Data

ONE, TWO = MixtureModel(1), MixtureModel(2)


def data(x, counts=None):
    return Data(x, np.ones(x.size) if counts is None else counts)


def test_folds_hold_each_observation_out_once():
    x, counts = np.array([0.0, 1.0, 5.0]), np.array([4.0, 1.0, 6.0])
    parts = folds(data(x, counts), 4, np.random.default_rng(0))
    assert sorted(part.held.n for part in parts) == [2, 3, 3, 3]
    held = sum(np.where(x[:, None] == p.held.x, p.held.counts, 0).sum(axis=1) for p in parts)
    np.testing.assert_array_equal(held, counts)
    assert all(part.kept.n + part.held.n == counts.sum() for part in parts)
    with pytest.raises(ValueError, match=r"counts: 0.5 is no whole number"):
        folds(data(x, np.array([0.5, 1.0, 1.0])), 2, np.random.default_rng(0))


def test_one_component_is_cross_validated_as_by_hand():
    x = np.random.default_rng(1).normal(size=40)
    parts = folds(data(x), 5, np.random.default_rng(0))
    start = Mixture([1], [x.mean()], [x.std()])
    found = cross_validated(parts, ONE, start, np.random.default_rng(0))
    terms = np.concatenate(
        [Mixture([1], [p.kept.mean], [p.kept.sd]).log_density(p.held.x) for p in parts]
    )
    assert found.value == pytest.approx(terms.sum(), abs=1e-6)
    assert found.error == pytest.approx(np.sqrt(40) * terms.std(ddof=1), rel=1e-6)


def test_the_bootstrap_test_is_free_of_units():
    """Of one component its law does not depend on the mean and the sd, nor does its p-value."""
    x = np.random.default_rng(2).normal(size=50)
    found = [
        ratio_test(
            data(y), (ONE, TWO), Mixture([1], [y.mean()], [y.std()]), 5, np.random.default_rng(0)
        )
        for y in (x, 1000.0 * x + 3.0)
    ]
    assert found[0].ratio == pytest.approx(found[1].ratio, abs=1e-5)
    np.testing.assert_allclose(found[0].samples, found[1].samples, atol=1e-5)
    assert found[0].p == found[1].p


def test_a_ratio_is_never_negative_and_p_counts_the_data_themselves():
    x = np.random.default_rng(3).normal(size=60)
    start = Mixture([1], [x.mean()], [x.std()])
    found = ratio_test(data(x), (ONE, TWO), start, 9, np.random.default_rng(0))
    assert np.all(found.samples >= 0.0)
    assert found.ratio >= 0.0
    assert found.p == (1 + (found.samples >= found.ratio).sum()) / 10
