"""Contract tests over the registry: what every optimiser must do, and what fit() refuses."""

import subprocess
import sys

import numpy as np
import pytest

from models import METHODS, Mixture, MixtureModel, fit
from models.direct import lbfgs, nelder_mead, newton
from models.em import e_step, em, em_squarem, m_step, step_length
from models.methods import OPTIMISERS, SAMPLERS, Method, Run
from models.posterior.methods import map_estimate, nuts, nuts_ordered
from models.sample import Data
from tests.models.strategies import NUMERIC, SECOND_ARTICLE

EASY, _ = SECOND_ARTICLE.sample(400, np.random.default_rng(11))
MODELS = {
    "free": MixtureModel(2),
    "common sd": MixtureModel(2, equal_sds=True),
    "known components": MixtureModel(2, [1, 9], [2, 3]),
    "known means": MixtureModel(2, means=[1, 9]),
    "known sds": MixtureModel(2, sds=[2, 3]),
    "one component": MixtureModel(1),
}


# Typed, so that mypy holds each function against the contract; METHODS knows them by place alone.
RUNS: dict[str, Run] = {
    "em": em,
    "em-squarem": em_squarem,
    "lbfgs": lbfgs,
    "newton": newton,
    "nelder-mead": nelder_mead,
    "map": map_estimate,
    "nuts": nuts,
    "nuts-ordered": nuts_ordered,
}


def test_every_method_is_checked_against_the_contract() -> None:
    assert {name: method.run for name, method in METHODS.items()} == RUNS


def test_methods_by_what_they_give() -> None:
    assert OPTIMISERS == NUMERIC
    assert SAMPLERS == ("nuts", "nuts-ordered")


def test_the_registry_has_the_five_optimisers_without_pymc():
    assert {METHODS[name].engine for name in NUMERIC} == {"numeric"}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", OPTIMISERS)
def test_the_same_certified_optimum_whatever_the_method(method, name):
    model = MODELS[name]
    result, reference = fit(method, EASY, model), fit("em", EASY, model)
    assert result.status == "ok"
    assert result.certificate.certified
    # Two certified points are within 2e-4 standard errors of each other.
    distance = np.abs(result.mixture.as_rows() - reference.mixture.as_rows())
    assert np.all(distance <= 3e-4 * reference.se + 1e-12)
    assert result.loglik == pytest.approx(reference.loglik, abs=1e-7)
    assert np.all(np.diff(result.mixture.means) >= 0)


@pytest.mark.parametrize("method", OPTIMISERS)
def test_nothing_to_estimate_is_no_failure(method):
    result = fit(method, EASY, MixtureModel(1, means=[6], sds=[4]))
    assert result.status == "ok"
    assert result.mixture == Mixture([1], [6], [4])


@pytest.mark.parametrize("method", OPTIMISERS)
def test_at_a_certified_optimum_the_em_step_is_zero(method):
    result = fit(method, EASY)
    data = Data(EASY, np.ones(EASY.size))
    after = m_step(result.mixture, e_step(result.mixture, data), MixtureModel(2))
    # A certificate leaves at most 1e-4 of an SE; an EM step is never longer than a Newton step.
    assert result.certificate.certified
    assert step_length(result.mixture, after) < 1e-4 * (result.se / result.mixture.as_rows()).max()


@pytest.mark.parametrize("method", OPTIMISERS)
def test_counts_are_repeated_observations(method):
    x, counts = np.unique(np.round(EASY), return_counts=True)
    start = Mixture([0.4, 0.6], [2.0, 8.0], [2.0, 2.0])
    weighted = fit(method, x, counts=counts, start=start)
    repeated = fit(method, np.repeat(x, counts), start=start)
    np.testing.assert_allclose(
        weighted.mixture.as_rows(), repeated.mixture.as_rows(), atol=2e-4 * repeated.se.max()
    )
    np.testing.assert_allclose(weighted.se, repeated.se, rtol=1e-3)
    assert weighted.n == repeated.n


@pytest.mark.parametrize("method", OPTIMISERS)
def test_shift_scale_and_order_of_data_and_labels_carry_over(method):
    start = Mixture([0.4, 0.6], [2.0, 8.0], [2.0, 2.5])
    base = fit(method, EASY, start=start)
    tolerance = 3e-4 * base.se
    scaled = fit(method, 1e3 * EASY - 7e3, start=Mixture([0.4, 0.6], [-5e3, 1e3], [2e3, 2.5e3]))
    moved = scaled.mixture.as_rows()
    back = np.stack([moved[0], (moved[1] + 7e3) / 1e3, moved[2] / 1e3])
    assert np.all(np.abs(back - base.mixture.as_rows()) <= tolerance)
    assert scaled.loglik == pytest.approx(base.loglik - EASY.size * np.log(1e3), abs=1e-6)
    for other in (
        fit(method, np.random.default_rng(0).permutation(EASY), start=start),
        fit(method, EASY, start=start.permuted([1, 0])),
    ):
        assert np.all(np.abs(other.mixture.as_rows() - base.mixture.as_rows()) <= tolerance)


@pytest.mark.parametrize("method", OPTIMISERS)
def test_standard_errors_halve_when_the_data_are_quadrupled(method):
    once, four = fit(method, EASY), fit(method, np.tile(EASY, 4))
    np.testing.assert_allclose(four.se, once.se / 2, rtol=1e-3)


def test_old_faithful_with_a_common_sd(data_folder):
    """mixtools' published fit of the waiting times."""
    waiting = np.loadtxt(data_folder / "faithful.csv", delimiter=",", skiprows=1)[:, 1]
    for method in ("em", "lbfgs", "newton"):
        result = fit(method, waiting, MixtureModel(2, equal_sds=True))
        assert result.certificate.certified
        assert result.mixture.weights[0] == pytest.approx(0.36085, abs=5e-6)
        np.testing.assert_allclose(result.mixture.means, [54.61364, 80.09031], atol=1.5e-5)
        np.testing.assert_allclose(result.mixture.sds, 5.86909, atol=5e-6)
        assert result.loglik == pytest.approx(-1034.002, abs=5e-4)


def test_galaxies_with_three_components(data_folder):
    velocity = np.loadtxt(data_folder / "galaxies.csv", skiprows=1) / 1000
    for seed in range(10):
        result = fit("em", velocity, MixtureModel(3), rng=seed)
        assert result.loglik == pytest.approx(-203.17923, abs=5e-6)
    np.testing.assert_allclose(result.mixture.weights, [0.085365, 0.878051, 0.036584], atol=1e-6)
    np.testing.assert_allclose(result.mixture.means, [9.71014, 21.40010, 33.04438], atol=1e-5)
    np.testing.assert_allclose(result.mixture.sds, [0.42251, 2.19455, 0.92172], atol=1e-5)


def test_first_article_rate_and_cramer_rao():
    """Known components, n = 500,000: the weight's standard error is near .00080806, and an
    interval of 4.9 of them holds the truth (false-alarm rate 1e-6)."""
    truth = Mixture([0.8, 0.2], [0, 2], [1, 1])
    x, _ = truth.sample(500_000, np.random.default_rng(1))
    result = fit("em", x, MixtureModel(2, [0, 2], [1, 1]))
    assert result.se[0, 0] == pytest.approx(0.00080806, rel=0.01)
    assert abs(result.mixture.weights[0] - 0.8) < 4.9 * 0.00080806


@pytest.mark.parametrize("method", OPTIMISERS)
def test_a_collapse_is_singular_and_not_an_exception(method):
    x = np.concatenate([np.zeros(5), np.random.default_rng(0).normal(5, 1, 50)])
    result = fit(method, x, start=Mixture([0.1, 0.9], [0.0, 5.0], [1e-3, 1.0]))
    assert result.status == "singular"
    assert "collapsed" in result.message
    assert np.all(np.isnan(result.se))


def test_errors_and_intervals_have_the_layout_of_a_mixture():
    result = fit("newton", EASY)
    lower, upper = result.interval(0.9)
    for name in ("weights", "means", "sds"):
        estimate = getattr(result.mixture, name)
        assert getattr(result.se, name).shape == (2,)
        assert np.all(getattr(lower, name) < estimate)
        assert np.all(getattr(upper, name) > estimate)
    np.testing.assert_array_equal(result.se.means, result.se[1])


def test_too_few_iterations_are_not_converged():
    result = fit("em", EASY, max_iter=2)
    assert (result.status, result.converged, result.n_iter) == ("not-converged", False, 2)


def broken(data, model, start, rng, *, trace=False):
    raise np.linalg.LinAlgError("no inverse today")


def test_an_error_inside_a_method_is_a_failed_fit(monkeypatch):
    monkeypatch.setitem(METHODS, "broken", Method(f"{__name__}:broken", "Broken"))
    result = fit("broken", EASY)
    assert result.status == "failed"
    assert "no inverse today" in result.message
    assert result.mixture is None
    assert np.isnan(result.interval(0.9)[0]).all()


@pytest.mark.parametrize(
    ("x", "changes", "says"),
    [
        ([1.0, np.nan, 2.0], {}, "x: 1 of 3 values are not finite, the first is nan at position 1"),
        ([1.0, np.inf, 2.0], {}, "x: 1 of 3 values are not finite"),
        ([1.0], {}, "x: 1 observations; 2 components need at least 2"),
        ([], {}, "x: has no observations"),
        ([3.0, 3.0, 3.0], {}, "x: all observations are 3"),
        ([[1.0, 2.0]], {}, r"x: has shape \(1, 2\)"),
        (["a", "b"], {}, "x: holds text; give numbers"),
        ([1.0, 2.0, 4.0], {"counts": [1, 1]}, "counts: has 2 values, x has 3"),
        ([1.0, 2.0, 4.0], {"counts": [1, 1, -1]}, "counts: -1 is negative"),
        ([1.0, 2.0, 4.0], {"model": 3}, "model: 3 is not a MixtureModel"),
        ([1.0, 2.0, 4.0], {"start": [1, 2]}, "start: .* is not a Mixture"),
        ([1.0, 2.0, 4.0], {"start": Mixture([1.0], [0.0], [1.0])}, "start: has 1 components"),
        ([1.0, 2.0, 4.0], {"counts": [[1, 1, 1]]}, r"counts: has shape \(1, 3\)"),
        ([1.0, 2.0, 4.0], {"speed": 3}, "speed: no option of em; it takes"),
    ],
)
def test_bad_input_is_named(x, changes, says):
    with pytest.raises(ValueError, match=says):
        fit("em", x, **changes)


def test_unknown_methods_and_levels_are_named():
    with pytest.raises(ValueError, match="method: unknown 'magic'; choose from em"):
        fit("magic", EASY)
    with pytest.raises(ValueError, match="level: 2 is not a probability"):
        fit("em", EASY).interval(2)


def test_optimisers_import_no_pymc():
    """In a process of its own: the five optimisers leave PyMC, PyTensor and ArviZ alone."""
    code = (
        "import sys, numpy as np; from models import fit\n"
        "x = np.random.default_rng(0).normal(0, 1, 100) + 4 * (np.arange(100) < 40)\n"
        f"for m in {NUMERIC!r}: assert fit(m, x).mixture is not None\n"
        "heavy = {'pymc', 'pytensor', 'arviz', 'arviz_stats', 'nutpie', 'pandas', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("seed", [13, 124, 142, 145])
def test_a_line_search_that_looks_into_a_singularity_comes_back(seed):
    """Data on which a trial step of L-BFGS-B goes to sds of 1e-21 and less."""
    x, _ = Mixture([0.1, 0.9], [0.0, 1.0], [1.0, 1.0]).sample(100, np.random.default_rng(seed))
    result = fit("lbfgs", x, rng=seed)
    assert result.status == "ok"
    assert result.certificate.certified


@pytest.mark.parametrize("method", ["em", "em-squarem", "lbfgs", "newton", "nelder-mead", "map"])
def test_a_trace_counts_the_passes_to_each_point(method):
    """Ascending from 1, at most those of the whole fit but for the look at EM's last point."""
    x = Mixture([0.4, 0.6], [0, 3], [1, 1]).sample(200, np.random.default_rng(5))[0]
    result = fit(method, x, trace=True)
    trace, used = result.trace, result.evaluations
    assert trace.passes.shape == trace.loglik.shape
    assert trace.passes[0] == 1
    assert np.all(np.diff(trace.passes) > 0)
    total = sum(used.get(kind, 0) for kind in ("moments", "second_moments", "gradients"))
    assert trace.passes[-1] <= total + 1
    if method == "em":
        np.testing.assert_array_equal(trace.passes, np.arange(1, result.n_iter + 2))
