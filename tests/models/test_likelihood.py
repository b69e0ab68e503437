import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Mixture
from models.likelihood import (
    complete_information,
    information,
    moments,
    reference_moments,
    reference_second_moments,
    score,
    score_and_information,
    score_outer,
    second_moments,
)
from models.model import MixtureModel
from tests.models.strategies import SECOND_ARTICLE, mixtures, samples


def absolute_sums(mixture, x, counts):
    """Sums of the absolute terms that `moments` adds up: the scale of its rounding errors."""
    t = counts[:, None] * mixture.responsibilities(x)
    z = np.abs((x[:, None] - mixture.means) / mixture.sds)
    terms = (counts[:, None] * np.abs(mixture.log_joint(x))).max(axis=1).sum()
    return terms, np.stack([(t * z**p).sum(axis=0) for p in range(5)], axis=1)


@given(mixtures(), samples())
def test_the_compiled_pass_agrees_with_the_textbook(mixture, sample):
    """Both are right to a few eps times the terms' size and the condition of exp, |a| eps."""
    x, counts = sample
    scale, sums = absolute_sums(mixture, x, counts)
    condition = 1e-15 * (10 + np.abs(mixture.log_joint(x)).max())
    fast, slow = moments(mixture, x, counts), reference_moments(mixture, x, counts)
    assert abs(fast.loglik - slow.loglik) <= 1e-13 * scale
    assert np.all(np.abs(fast.t - slow.t) <= condition * sums[:, :3] + 1e-300)
    fast2 = second_moments(mixture, x, counts)
    slow2 = reference_second_moments(mixture, x, counts)
    assert abs(fast2.loglik - slow2.loglik) <= 1e-13 * scale
    assert np.all(np.abs(fast2.t - slow2.t) <= condition * sums + 1e-300)
    size = np.sqrt(np.outer(np.diag(slow2.cross), np.diag(slow2.cross)))
    assert np.all(np.abs(fast2.cross - slow2.cross) <= 2 * condition * size + 1e-300)


def exact(mixture, x, counts):
    """log-likelihood and moments in 50 digits."""
    with mpmath.workdps(50):
        rows = [[mpmath.mpf(float(v)) for v in row] for row in mixture.as_rows()]
        loglik, k = mpmath.mpf(0), mixture.k
        t = [[mpmath.mpf(0)] * 3 for _ in range(k)]
        absolute = [[mpmath.mpf(0)] * 3 for _ in range(k)]
        size = mpmath.mpf(0)
        for xi, c in zip(x, counts, strict=True):
            joint, z = [], []
            for w, m, s in zip(*rows, strict=True):
                z.append((mpmath.mpf(float(xi)) - m) / s)
                joint.append(w * mpmath.exp(-(z[-1] ** 2) / 2) / s if w else mpmath.mpf(0))
            total = mpmath.fsum(joint)
            term = float(c) * (mpmath.log(total) - mpmath.log(2 * mpmath.pi) / 2)
            loglik += term
            size += abs(term)
            for j in range(k):
                for p in range(3):
                    value = float(c) * joint[j] / total * z[j] ** p
                    t[j][p] += value
                    absolute[j][p] += abs(value)
        return loglik, size, t, absolute


HOSTILE = {
    "components 1000 sds apart": Mixture([0.5, 0.5], [0.0, 1e3], [1.0, 1.0]),
    "sds of 1e-8 and 1e8": Mixture([0.5, 0.5], [0.0, 1.0], [1e-8, 1e8]),
    "a weight of 1e-300": Mixture([1e-300, 1.0], [0.0, 1.0], [1.0, 1.0]),
    "an empty component": Mixture([0.0, 1.0], [0.0, 1.0], [1.0, 2.0]),
    "three with one far": Mixture([0.3, 0.3, 0.4], [-1e6, 0.0, 1e6], [1.0, 2.0, 3.0]),
    "one component": Mixture([1.0], [3.0], [2.0]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_inputs_against_fifty_digits(name):
    """Within 1e-12 of the sum of absolute terms, where a term's own size is at most about 1e12
    times smaller than its quadratic: |a| eps bounds what any float64 pass can do for t."""
    mixture = HOSTILE[name]
    x = np.array([-1e3, -5.0, -1.0, 0.0, 1e-9, 0.5, 1.0, 2.0, 500.0, 1e3, 1e6])
    counts = np.arange(1.0, x.size + 1)
    with np.errstate(all="raise"):
        found = moments(mixture, x, counts)
    loglik, size, t, absolute = exact(mixture, x, counts)
    assert abs(found.loglik - float(loglik)) <= 1e-12 * float(size)
    for j in range(mixture.k):
        for p in range(3):
            bound = 1e-12 * float(absolute[j][p]) + 1e-300
            assert abs(found.t[j, p] - float(t[j][p])) <= bound, (j, p)


@given(mixtures(), samples())
@settings(max_examples=30)
def test_score_and_information_are_the_derivatives(mixture, sample):
    """Central differences of the log-likelihood and of the score; errors O(h^2) + eps/h."""
    x, counts = sample
    model = MixtureModel(mixture.k)
    eta = model.pack(mixture)
    second = second_moments(mixture, x, counts)
    gradient, hessian = score(mixture, second.t), -information(mixture, second)
    scale = counts.sum() * (1 + ((x[:, None] - mixture.means) / mixture.sds) ** 2).max() ** 2
    h = 1e-5
    for j in range(eta.size):
        ahead, behind = (model.unpack(eta + s * h * np.eye(eta.size)[j]) for s in (1, -1))
        up, down = moments(ahead, x, counts), moments(behind, x, counts)
        assert abs((up.loglik - down.loglik) / (2 * h) - gradient[j]) < 1e-8 * scale
        column = (score(ahead, up.t) - score(behind, down.t)) / (2 * h)
        assert np.all(np.abs(column - hessian[:, j]) < 1e-7 * scale / mixture.sds.min() ** 2)


@given(mixtures(), samples())
def test_a_models_score_and_information_are_selections(mixture, sample):
    """Of those by all parameters: of a common sd the sums. Errors: rounding of 4 K^2 terms."""
    second = second_moments(mixture, *sample)
    k = mixture.k
    for model in (
        MixtureModel(k),
        MixtureModel(k, equal_sds=True),
        MixtureModel(k, means=mixture.means),
        MixtureModel(k, mixture.means, mixture.sds),
    ):
        s = model.selection
        slope, curvature = score_and_information(mixture, model, second)
        full, whole = score(mixture, second.t), information(mixture, second)
        room = 4 * k * k * np.finfo(float).eps
        assert np.all(np.abs(slope - s.T @ full) <= room * (s.T @ np.abs(full)))
        assert np.all(np.abs(curvature - s.T @ whole @ s) <= room * (s.T @ np.abs(whole) @ s))


@given(mixtures(), samples())
def test_fishers_identity(mixture, sample):
    """The score is the responsibility-weighted complete-data score, in natural parameters."""
    x, counts = sample
    t = counts[:, None] * mixture.responsibilities(x)
    z = (x[:, None] - mixture.means) / mixture.sds
    natural = np.concatenate(
        [
            (t / mixture.weights).sum(axis=0),
            (t * z / mixture.sds).sum(axis=0),
            (t * (z * z - 1) / mixture.sds).sum(axis=0),
        ]
    )
    expected = MixtureModel(mixture.k).natural_jacobian(mixture).T @ natural
    found = score(mixture, moments(mixture, x, counts).t)
    size = counts.sum() * (1 + (z * z).max()) / mixture.sds.min()
    np.testing.assert_allclose(found, expected, atol=1e-12 * size)


@given(mixtures(), samples())
def test_duplicating_the_data_doubles_the_information(mixture, sample):
    x, counts = sample
    once = information(mixture, second_moments(mixture, x, counts))
    twice = information(mixture, second_moments(mixture, np.tile(x, 2), np.tile(counts, 2)))
    by_count = information(mixture, second_moments(mixture, x, 2 * counts))
    size = np.abs(complete_information(mixture, second_moments(mixture, x, counts))).max()
    np.testing.assert_allclose(twice, 2 * once, atol=1e-11 * size)
    np.testing.assert_allclose(by_count, 2 * once, atol=1e-11 * size)


@given(mixtures(), st.integers(0, 2**31))
@settings(max_examples=20)
def test_order_of_the_data_and_zero_moments_do_not_matter(mixture, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 5, 400)
    a, b = moments(mixture, x, np.ones(400)), moments(mixture, rng.permutation(x), np.ones(400))
    assert abs(a.loglik - b.loglik) <= 1e-13 * 400 * (1 + np.abs(mixture.log_density(x)).max())
    assert a.t[:, 0].sum() == pytest.approx(400, rel=1e-13)


def test_information_equality_at_the_truth():
    """E information = E score score'; the second article's Cramer-Rao SDs at n = 5,000.

    Means over 10^6 draws: relative Monte Carlo error of an SD about 1/sqrt(1e6) times a small
    factor; 1% is more than five of its standard errors (false-alarm rate below 1e-6).
    """
    x, _ = SECOND_ARTICLE.sample(1_000_000, np.random.default_rng(2))
    second = second_moments(SECOND_ARTICLE, x, np.ones(x.size))
    for matrix in (information(SECOND_ARTICLE, second), score_outer(SECOND_ARTICLE, second)):
        covariance = np.linalg.inv(matrix / x.size * 5000)
        jacobian = MixtureModel(2).natural_jacobian(SECOND_ARTICLE)
        sds = np.sqrt(np.diag(jacobian @ covariance @ jacobian.T))[[0, 2, 3, 4, 5]]
        known = [0.010812, 0.094909, 0.083546, 0.062343, 0.060517]
        np.testing.assert_allclose(sds, known, rtol=0.01)
