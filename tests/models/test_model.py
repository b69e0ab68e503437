import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import Mixture, MixtureModel
from models.inference.certificate import standard_errors
from tests.models.strategies import mixtures


def models_of(k):
    return [
        MixtureModel(k),
        MixtureModel(k, equal_sds=True),
        MixtureModel(k, means=np.arange(k)),
        MixtureModel(k, sds=np.arange(1, k + 1)),
        MixtureModel(k, means=np.arange(k), sds=np.ones(k)),
        MixtureModel(k, means=np.arange(k), equal_sds=True),
        MixtureModel(k, means=[0, *[None] * (k - 1)], sds=[*[None] * (k - 1), 1]),
        MixtureModel(k, weights=[*[None] * (k - 1), 0.4] if k > 1 else None),
    ]


@given(mixtures(), st.integers(0, 7))
def test_unpack_undoes_pack(mixture, which):
    model = models_of(mixture.k)[which]
    inside = model.admit(mixture)
    again = model.unpack(model.pack(inside))
    np.testing.assert_allclose(again.as_rows(), inside.as_rows(), rtol=1e-12, atol=1e-12)
    assert model.pack(inside).size == model.n_free == len(model.parameter_names())


@given(mixtures(), st.integers(0, 7))
def test_natural_jacobian_is_the_derivative_of_unpack(mixture, which):
    model = models_of(mixture.k)[which]
    eta = model.pack(model.admit(mixture))
    analytic = model.natural_jacobian(model.unpack(eta))
    step = 1e-5  # central differences: error of order step^2 and eps/step, both below 1e-9
    for j in range(eta.size):
        move = step * np.eye(eta.size)[j]
        ahead, behind = model.unpack(eta + move).as_rows(), model.unpack(eta - move).as_rows()
        numeric = ((ahead - behind) / (2 * step)).ravel()
        np.testing.assert_allclose(analytic[:, j], numeric, atol=1e-8)


def test_free_parameters_are_counted():
    assert [m.n_free for m in models_of(3)] == [8, 6, 5, 5, 2, 3, 6, 7]
    assert MixtureModel(1, means=[0], sds=[1]).n_free == 0


@pytest.mark.parametrize(
    ("arguments", "exchangeable"),
    [
        ({}, True),
        ({"equal_sds": True}, True),
        ({"sds": [1, 1]}, True),
        ({"sds": [1, 2]}, False),
        ({"means": [0, 2]}, False),
        ({"means": [3, 3]}, True),
        ({"means": [3, 3], "equal_sds": True}, True),
        ({"means": [3, 3], "sds": [1, 1]}, True),
        ({"means": [3, 3], "sds": [1, 2]}, False),
    ],
)
def test_components_are_exchangeable_unless_something_known_tells_them_apart(
    arguments, exchangeable
):
    assert MixtureModel(2, **arguments).exchangeable == exchangeable


def test_standard_error_of_a_binomial_share():
    """Delta method on the logit: information n w (1 - w) gives sqrt(w (1 - w)/n)."""
    model = MixtureModel(2, means=[0, 1], sds=[1, 1])
    mixture = Mixture([0.2, 0.8], [0, 1], [1, 1])
    se = standard_errors(mixture, model, np.array([[1000 * 0.2 * 0.8]]))
    np.testing.assert_allclose(se[0], np.sqrt(0.2 * 0.8 / 1000), rtol=1e-12)
    np.testing.assert_array_equal(se[1:], 0.0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"k": 0}, "k: 0 is not a whole number of at least 1"),
        ({"k": 1.5}, "k: 1.5"),
        ({"k": 2, "means": [0, 1, 2]}, "means: has 3 values; the model has 2 components"),
        ({"k": 2, "means": 3}, r"means: has shape \(\)"),
        ({"k": 2, "means": [0, np.inf]}, "means: 1 of 2 values are not finite"),
        ({"k": 2, "equal_sds": "no"}, "equal_sds: 'no' is neither True nor False"),
        ({"k": 2, "sds": [1, -1]}, "sds: -1 is not positive"),
        ({"k": 2, "sds": [1, 1], "equal_sds": True}, "equal_sds: True with known sds"),
        ({"k": 2, "means": "ab"}, "means: holds text"),
    ],
)
def test_bad_models_are_named(arguments, says):
    with pytest.raises(ValueError, match=says):
        MixtureModel(**arguments)
