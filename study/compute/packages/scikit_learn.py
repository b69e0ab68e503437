"""scikit-learn's mixtures, as their documentation calls them; options are the estimators' own."""

import warnings

import numpy as np
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

PACKAGES = ("scikit-learn",)


def gaussian_mixture(x, k, equal_sds, seed, **options):
    return answer(GaussianMixture, x, k, equal_sds, seed, options)


def bayesian_gaussian_mixture(x, k, equal_sds, seed, **options):
    found = answer(BayesianGaussianMixture, x, k, equal_sds, seed, options)
    return {name: value for name, value in found.items() if name != "loglik"}


def answer(estimator, x, k, equal_sds, seed, options):
    kind = "tied" if equal_sds else "full"
    made = estimator(n_components=k, covariance_type=kind, random_state=seed, **options)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = made.fit(x[:, None])
    return {
        "weights": found.weights_,
        "means": found.means_[:, 0],
        "sds": np.sqrt(found.covariances_).ravel() * np.ones(k),
        "loglik": found.score(x[:, None]) * x.size,
        "converged": found.converged_,
        "iterations": found.n_iter_,
        "stop": found.tol * x.size,
        "message": "; ".join(str(w.message) for w in warned) or "converged",
    }
