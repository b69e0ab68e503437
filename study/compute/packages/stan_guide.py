"""The mixture of Stan's user's guide (chapter "Finite mixtures"), in NumPyro, for want of Stan.

Priors, double precision, four chains of 1,000 after 1,000 and starts as of Stan; `ordered` as the
guide's program declares the means. What is compiled serves all data sets of a size.
"""

import os
from functools import cache

# Read when jax is first imported: one thread, as of the other packages.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS

PACKAGES = ("numpyro", "jax")
CHAINS = 4
jax.config.update("jax_enable_x64", True)


def fit(x, k, equal_sds, seed, draws=1000, tune=1000, ordered=True):
    if equal_sds:
        raise ValueError("the guide's model has an sd a component")
    chain = compiled(x.size, k, draws, tune, ordered)
    found = [chain(key, x) for key in jax.random.split(jax.random.PRNGKey(seed), CHAINS)]
    return {
        "draws": np.stack([np.stack(parameters, axis=-2) for parameters, _ in found]),
        "divergences": sum(int(divergent) for _, divergent in found),
    }


@cache
def compiled(n, k, draws, tune, ordered):
    """(key, x) -> weights, means and sds of a chain, and how many of its draws diverged."""

    def model(x):
        weights = numpyro.sample("weights", dist.Dirichlet(np.ones(k)))
        if ordered:
            space = dist.constraints.ordered_vector
            means = numpyro.sample("means", dist.ImproperUniform(space, (), (k,)))
            numpyro.factor("prior", dist.Normal(0, 10).log_prob(means).sum())
        else:
            means = numpyro.sample("means", dist.Normal(0, 10).expand([k]).to_event(1))
        sds = numpyro.sample("sds", dist.LogNormal(0, 2).expand([k]).to_event(1))
        mixture = dist.MixtureSameFamily(dist.Categorical(probs=weights), dist.Normal(means, sds))
        numpyro.sample("x", mixture, obs=x)

    def chain(key, x):
        sampler = MCMC(NUTS(model), num_warmup=tune, num_samples=draws, progress_bar=False)
        sampler.run(key, x, extra_fields=("diverging",))
        found = sampler.get_samples()
        parameters = [found[name] for name in ("weights", "means", "sds")]
        return parameters, sampler.get_extra_fields()["diverging"].sum()

    key = jax.random.PRNGKey(0)
    return jax.jit(chain).lower(key, np.zeros(n)).compile()
