"""The model of PyMC's gallery, "Gaussian Mixture Model", sampled as there: pm.sample()."""

import numpy as np
import pymc as pm

PACKAGES = ("pymc",)


def fit(x, k, equal_sds, seed, draws=1000, tune=1000, ordered=True):
    if equal_sds:
        raise ValueError("the gallery's model has an sd a component")
    order = pm.distributions.transforms.ordered if ordered else None
    with pm.Model():
        # The gallery starts its three means at -4, 0 and 4.
        start = np.linspace(-4.0, 4.0, k)
        means = pm.Normal("means", 0, 5, shape=k, transform=order, initval=start)
        sds = pm.HalfNormal("sds", sigma=1, shape=k)
        weights = pm.Dirichlet("weights", np.ones(k))
        pm.NormalMixture("x", w=weights, mu=means, sigma=sds, observed=x)
        tree = pm.sample(
            draws=draws, tune=tune, chains=4, cores=1, random_seed=seed, nuts_sampler="pymc",
            progressbar=False, quiet=True, compute_convergence_checks=False,
        )  # fmt: skip
    posterior = [tree["posterior"][name].values for name in ("weights", "means", "sds")]
    return {
        "draws": np.stack(posterior, axis=-2),
        "divergences": tree["sample_stats"]["diverging"].values.sum(),
    }
