"""The highest maximum that can be believed: never behind fewer components, never spurious."""

import numpy as np
import pytest

from models.mixture import Mixture
from models.model import MixtureModel
from models.sample import Data
from models.search import halved, highest
from models.verdicts import believable
from tests.models.galaxies import GALAXIES


def data(x):
    return Data(x, np.ones(x.size))


THREE = Mixture([0.3, 0.4, 0.3], [0, 3, 6], [1, 0.7, 1])


def test_the_halves_of_a_component_have_its_weight_and_leave_the_others():
    found = list(halved(THREE))
    assert len(found) == 2 * THREE.k
    for j, place in ((0, 0), (0, 1), (2, 4)):
        split = found[place]
        np.testing.assert_array_equal(split.as_rows()[:, :2], np.delete(THREE.as_rows(), j, axis=1))
        assert split.weights.sum() == pytest.approx(1.0)
        assert split.weights[2:] @ split.means[2:] == pytest.approx(
            THREE.weights[j] * THREE.means[j], abs=0.02
        )


def test_the_best_of_the_known_maxima_of_the_galaxies():
    """For three components others stop at -212.083 (mclust); for four at -200.06."""
    rng = np.random.default_rng(0)
    two = highest(data(GALAXIES), MixtureModel(2), rng, 10)
    three = highest(data(GALAXIES), MixtureModel(3), rng, 10, [two.mixture])
    four = highest(data(GALAXIES), MixtureModel(4), rng, 10, [three.mixture])
    assert three.loglik == pytest.approx(-203.1792, abs=1e-4)
    assert four.loglik >= -197.4539
    for top in (two, three, four):
        assert believable(top.mixture, MixtureModel(top.mixture.k), data(GALAXIES))


def test_from_what_a_smaller_fit_splits_into_alone():
    x, _ = THREE.sample(400, np.random.default_rng(1))
    rng = np.random.default_rng(0)
    top = highest(data(x), MixtureModel(1), rng, 0, [Mixture([1], [0], [1])])
    logliks = [top.loglik]
    for k in (2, 3):
        top = highest(data(x), MixtureModel(k), rng, 0, [top.mixture])
        logliks.append(top.loglik)
    assert np.all(np.diff(logliks) > 10.0)


def test_a_spurious_maximum_is_passed_over_and_said():
    """Three values that agree to a millionth, in a normal sample, are no component."""
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.normal(size=60), 0.3 + 1e-6 * np.arange(3)])
    spike = Mixture([0.95, 0.05], [0, 0.300001], [1, 1e-6])
    top = highest(data(x), MixtureModel(2), rng, 0, [spike])
    assert top.mixture is None
    assert top.other is not None
    both = highest(data(x), MixtureModel(2), rng, 10, [spike])
    assert both.mixture is None or both.higher > 0
