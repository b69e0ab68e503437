"""Offsets and scales that leave few digits, or none to squares, are taken off without rounding."""

from fractions import Fraction

import numpy as np
import pytest

from models import Mixture, MixtureModel, compress, fit, labels
from models.frame import PLAIN, Frame
from models.inference.bootstrap import bootstrap
from models.inference.profile import profile_interval
from models.sample import as_data
from tests.models.strategies import NUMERIC

TWO = Mixture([0.4, 0.6], [0.0, 5.0], [1.0, 1.5])
# Multiples of 2^-10, so that they stay what they are at an offset of 2^42, some 1e12 of their sds.
X = np.round(TWO.sample(300, np.random.default_rng(2))[0] * 2**10) / 2**10
FAR = 2.0**42
STEP = np.spacing(FAR)  # of a mean there
MODELS = {
    "free": MixtureModel(2),
    "common sd": MixtureModel(2, equal_sds=True),
    "known means": MixtureModel(2, means=[0.0, 5.0]),
}


@pytest.mark.parametrize("low", [1.0, -2.0, 1e-300, 2.0**900])
def test_the_shift_is_exact_and_goes_back(low):
    x = low * np.linspace(1.0, 2.0, 33)
    frame = Frame.of(x.min(), x.max())
    assert frame.shift != 0.0
    unit = Fraction(2) ** frame.exponent
    for given, inside in zip(x.tolist(), frame.inside(x).tolist(), strict=True):
        assert Fraction(inside) * unit == Fraction(given) - Fraction(frame.shift)
    np.testing.assert_array_equal(frame.outside(frame.inside(x)), x)


def test_most_data_are_left_alone():
    for low, high in ((-1.0, 3.0), (0.0, 5.0), (1.6, 5.1), (-9.0, -1.0), (1e-80, 1e80)):
        assert Frame.of(low, high) == PLAIN


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", NUMERIC)
@pytest.mark.parametrize("squeeze", [True, False], ids=["compressed", "exact"])
def test_timestamps_are_fitted_as_what_they_are_but_for_an_offset(method, name, squeeze):
    """Means are rounded to STEP, a thousandth of their errors; all else is the same."""
    model = MODELS[name]
    means = None if model.means is None else model.means + FAR
    there = MixtureModel(2, means, None, model.equal_sds)
    start = Mixture([0.5, 0.5], [-1.0, 4.0], [1.0, 1.0])
    moved = Mixture(start.weights, start.means + FAR, start.sds)
    here = fit(method, X, model, start=start, compress=squeeze)
    found = fit(method, X + FAR, there, start=moved, compress=squeeze, trace=True)
    assert found.status == "ok"
    assert found.certificate.certified
    assert found.start == there.admit(moved)
    assert ("nodes" in found.evaluations) == squeeze
    if means is not None:
        np.testing.assert_array_equal(found.model.means, means)
        np.testing.assert_array_equal(found.mixture.means, means)
    back = found.mixture.as_rows() - [[0.0], [FAR], [0.0]]
    slack = 3e-4 * here.se + [[0.0], [STEP], [0.0]]
    assert np.all(np.abs(back - here.mixture.as_rows()) <= slack)
    np.testing.assert_allclose(found.se, here.se, rtol=1e-3)
    assert found.loglik == pytest.approx(here.loglik, abs=1e-7)
    assert abs(found.trace.parameters[-1][1] - found.mixture.means).max() <= 0.01
    np.testing.assert_array_equal(found.trace.parameters[0], there.admit(moved).as_rows())


@pytest.mark.parametrize("method", NUMERIC)
@pytest.mark.parametrize("exponent", [-1000, -500, 500, 1000])
def test_any_scale_that_floats_hold_is_fitted(method, exponent):
    """2^-1000 leaves these data all their digits."""
    start = Mixture([0.5, 0.5], [-1.0, 4.0], [1.0, 1.0])
    scaled = Mixture(start.weights, *np.ldexp(start.as_rows()[1:], exponent))
    for options in ({}, {"penalty": "chen"}):
        here = fit(method, X, start=start, **options)
        found = fit(method, np.ldexp(X, exponent), start=scaled, **options)
        assert found.status == "ok"
        assert found.certificate.certified
        factor = X.size * exponent * np.log(2.0)
        assert found.loglik == pytest.approx(here.loglik - factor, abs=1e-6)
        # The penalty is a density of log sds, which have no unit.
        assert found.objective - found.loglik == pytest.approx(
            here.objective - here.loglik, abs=1e-6
        )
        for own, other in ((found.mixture.as_rows(), here.mixture.as_rows()), (found.se, here.se)):
            back = np.vstack([own[:1], np.ldexp(own[1:], -exponent)])
            assert np.all(np.abs(back - other) <= 1e-3 * here.se)


def test_a_collapse_is_told_of_in_data_units():
    x = np.append(np.random.default_rng(0).normal(0, 1, 50), [3.0] * 5) + FAR
    start = Mixture([0.1, 0.9], [FAR + 3.0, FAR], [1e-3, 1.0])
    result = fit("em", x, start=start)
    assert result.status == "singular"
    assert "component at 4.39805e+12 collapsed" in result.message


def test_what_is_made_of_a_fit_does_not_mind_the_offset():
    model = MixtureModel(2)
    here, there = fit("newton", X), fit("newton", X + FAR)
    pair = [as_data(x, None, model) for x in (X, X + FAR)]
    for name, offset, tolerance in (("means", FAR, STEP), ("sds", 0.0, 1e-9)):
        low, high = profile_interval(pair[0], model, here.mixture, name, 0)
        moved = profile_interval(pair[1], model, there.mixture, name, 0)
        for end, other in zip((low, high), moved, strict=True):
            assert (end.kind, other.kind) == ("found", "found")
            assert other.value - offset == pytest.approx(end.value, abs=tolerance)
    heights = [
        labels.barrier(d, model, f.mixture) for d, f in zip(pair, (here, there), strict=True)
    ]
    assert heights[1] == pytest.approx(heights[0], abs=1e-5)
    found = bootstrap(model, there.mixture, 100, 20, np.random.default_rng(0))
    expected = bootstrap(model, here.mixture, 100, 20, np.random.default_rng(0))
    assert found.failures == expected.failures
    np.testing.assert_allclose(found.draws[:, 2], expected.draws[:, 2], atol=1e-3)
    np.testing.assert_allclose(found.draws[:, 1] - FAR, expected.draws[:, 1], atol=2e-3)


def test_a_stream_of_timestamps():
    model, start = MixtureModel(2), fit("newton", X)
    sample = compress(iter(np.split(X + FAR, 3)), model)
    found = fit("newton", sample, model)
    assert found.certificate.certified
    np.testing.assert_allclose(found.mixture.means - FAR, start.mixture.means, atol=1e-3)
    np.testing.assert_allclose(found.se, start.se, rtol=1e-3)
    again = fit(
        "em",
        compress(np.split(X + FAR, 3)),
        start=Mixture([0.5, 0.5], [FAR, FAR + 5], [0.02, 0.02]),
    )
    assert again.evaluations["exact_passes"] > 0
    assert again.loglik == pytest.approx(start.loglik, abs=1e-6)


@pytest.mark.parametrize("method", NUMERIC)
@pytest.mark.parametrize("code", [1e20, 9.97e36, 1e50])
def test_a_code_among_numbers_is_never_ok(method, code):
    """A single value so far away that what is between the others is lost beside it."""
    result = fit(method, np.append(X, code))
    assert result.status != "ok"


@pytest.mark.parametrize("codes", [[1.797e308], [-1e100], [-1.7e308, 1.7e308]])
def test_what_squares_cannot_hold_is_refused(codes):
    with pytest.raises(ValueError, match=r"^x: reaches from .* squares overflow there") as error:
        fit("em", [*X, *codes])
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"^x: reaches"):
        fit("em", X, MixtureModel(2, [0.0, 1.0], [1e-100, 1.0]))
