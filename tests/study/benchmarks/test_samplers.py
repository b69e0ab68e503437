"""Samplers of other packages have the same posterior, and labels take their draws."""

import functools
import sys
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from models import Mixture, fit, labels
from models.mixture import draws_by_mean
from study.benchmarks.measure import ARTICLE_2, distance, posterior_summary
from study.benchmarks.peers import OURS, Absent
from study.benchmarks.peers.samplers import MODES, SAMPLERS, Sampling
from study.simulate import generator


def setting(**changes):
    x = ARTICLE_2.sample(500, generator(1, "samplers"))[0]
    return replace(Sampling(x, ARTICLE_2, 400, 300), **changes)


def test_without_numpyro_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpyro", None)
    with pytest.raises(Absent, match=r"^NumPyro is not installed$"):
        SAMPLERS["NumPyro"](setting())


@functools.cache
def summaries(name):
    """Of 400 draws of each of 4 chains; skips where the sampler is not installed."""
    here = setting()
    try:
        sampled = SAMPLERS[name](here).sample(5 if name == OURS else 6)
    except Absent as reason:
        pytest.skip(str(reason))
    assert sampled.draws.shape == (4, 400, 3, 2)
    assert np.all(draws_by_mean(sampled.draws)[..., 1, 0] < 6)
    return list(posterior_summary(sampled.draws))


@pytest.mark.workflow
@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != OURS])
def test_every_sampler_has_the_same_posterior(name):
    """Five parameters, five samplers, means and sds: false alarms of all together 3e-5."""
    for ours, theirs in zip(summaries(OURS), summaries(name), strict=True):
        # Five standard errors of a difference of two Monte Carlo means: one in a million.
        error = np.hypot(ours["se"] / ours["ess"] ** 0.5, theirs["se"] / theirs["ess"] ** 0.5)
        assert abs(ours["estimate"] - theirs["estimate"]) < 5 * error
        error = np.hypot((2 * ours["ess"]) ** -0.5, (2 * theirs["ess"]) ** -0.5)
        # The bulk ESS may overstate that of the sd by half.
        assert abs(np.log(ours["se"] / theirs["se"])) < 7 * error


@pytest.mark.workflow
@pytest.mark.parametrize("name", MODES)
def test_every_search_has_the_same_mode(name):
    here = setting()
    best = fit("map", here.x, start=here.start, prior=here.prior, compress=False)
    found = MODES[name](here).find()
    # find_MAP stops at a relative change of 2e-9 of the objective (about 3,000 nats): 6e-6 nats,
    # and what is left may be ten times that.
    assert distance(found.mixture, best) < np.sqrt(2 * 6e-5)
    assert found.passes >= found.iterations > 1


def test_the_priors_are_the_projects_own():
    weights, means, variances = setting().priors
    x = setting().x
    assert weights.concentration == 2
    assert (means.mean, means.sd) == pytest.approx((x.mean(), 2 * x.std()))
    assert (variances.shape, variances.scale) == pytest.approx((2, (x.std() / 2) ** 2))


@pytest.mark.workflow
def test_draws_of_another_sampler_are_judged_and_relabelled():
    """NumPyro's NUTS, its draws in a tree under NumPyro's names; skipped where it is absent."""
    try:
        import numpyro  # noqa: F401
    except ImportError:
        pytest.skip("NumPyro is not installed; uv sync --group peers")
    truth = Mixture([0.4, 0.6], [0.0, 5.0], [1.0, 1.0])
    x, _ = truth.sample(150, np.random.default_rng(0))
    sampler = SAMPLERS["NumPyro"](Sampling(x, truth, draws=300, tune=300))
    draws = sampler.sample(1).draws
    names = ("w", "mu", "sigma")
    variables = {
        name: (("chain", "draw", f"{name}_dim_0"), draws[:, :, i]) for i, name in enumerate(names)
    }
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(variables)})
    dims = [f"{name}_dim_0" for name in names]
    taken = labels.component_draws(tree, names, dims)
    verdict = labels.judge(taken, x)
    assert verdict.near_ties < 0.05
    moved = labels.relabel(tree, verdict.relabelling.permutations, dims)
    assert np.all(np.diff(labels.component_draws(moved, names, dims)[:, :, 1]) > 0)
