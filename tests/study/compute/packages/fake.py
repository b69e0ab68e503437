"""A package of our own for tests: every function answers, or fails, in its own way."""

import os
import time

import numpy as np

PACKAGES = ("numpy",)


def moments(x, k, equal_sds, seed, shift=0.0):
    """Two components about the mean, and noise on stdout that is no answer."""
    print("answered\t1", flush=True)
    print("end of a line that", end="")
    sd = np.sqrt(x.var() / 2)
    return {
        "weights": np.full(k, 1 / k),
        "means": x.mean() + shift + sd * np.linspace(1, -1, k),  # in an order of its own
        "sds": np.full(k, sd),
        "loglik": -12.5,
        "converged": True,
        "iterations": 7,
        "stop": 0.5,
        "message": "two\nlines = one",
        "se": np.arange(3 * k) + 1.0,
    }


def echo(x, k, equal_sds, seed):
    """What it was given, as an estimate."""
    return {"weights": [1.0], "means": [x[0]], "sds": [x[1]], "loglik": seed, "iterations": k}


def draws(x, k, equal_sds, seed):
    rng = np.random.default_rng(seed)
    centre = np.array([[0.5, 0.5], [2.0, 0.0], [1.0, 1.0]])  # the larger mean first
    noise = 0.01 * rng.normal(size=(2, 300, 3, 2)) * np.array([[0.0], [1.0], [1.0]])
    return {"draws": centre + noise, "divergences": 3}


def raises(x, k, equal_sds, seed):
    raise ValueError("no\nluck")


def quits(x, k, equal_sds, seed):
    os._exit(3)


def nothing(x, k, equal_sds, seed):
    return {}


def infinite(x, k, equal_sds, seed):
    return {"weights": [0.5, 0.5], "means": [0.0, np.nan], "sds": [1.0, 1.0]}


class Last:
    """A value at whose turn the process ends, so that half of the answer is written."""

    def __array__(self, *_, **__):
        os._exit(0)


def half(x, k, equal_sds, seed):
    return {"weights": [0.5, 0.5], "means": Last()}


def hangs(x, k, equal_sds, seed):
    if x.mean() > 2.4:
        time.sleep(600)
    return moments(x, k, equal_sds, seed)
