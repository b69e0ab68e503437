"""pomegranate's mixture as its documentation calls it, in single precision; options are its own."""

import numpy as np
import torch
from pomegranate.distributions import Normal
from pomegranate.gmm import GeneralMixtureModel

PACKAGES = ("pomegranate", "torch")


def fit(x, k, equal_sds, seed, **options):
    if equal_sds:
        raise ValueError("its components have sds of their own")
    torch.manual_seed(seed)
    columns = torch.tensor(x[:, None], dtype=torch.float32)
    found = GeneralMixtureModel([Normal() for _ in range(k)], **options).fit(columns)
    parts = [(float(d.means), float(d.covs) ** 0.5) for d in found.distributions]
    means, sds = np.transpose(parts)
    return {
        "weights": found.priors.numpy(),
        "means": means,
        "sds": sds,
        "loglik": float(found.log_probability(columns).sum()),
        "stop": found.tol,
    }
