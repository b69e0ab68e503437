"""Hypothesis strategies and small fixtures that the tests of `models` share."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from models import Mixture

SECOND_ARTICLE = Mixture([0.3, 0.7], [1.0, 9.0], [2.0, 3.0])
NUMERIC = ("em", "em-squarem", "lbfgs", "newton", "nelder-mead")


@st.composite
def mixtures(draw: st.DrawFn, max_k: int = 4) -> Mixture:
    """Mixtures with weights of at least 1%, means within 10 and sds from 0.3 to 3."""
    k = draw(st.integers(1, max_k))
    number = st.floats(0.05, 1.0)
    weights = np.array(draw(st.lists(number, min_size=k, max_size=k)))
    means = draw(st.lists(st.floats(-10, 10), min_size=k, max_size=k))
    sds = draw(st.lists(st.floats(0.3, 3), min_size=k, max_size=k))
    return Mixture(weights / weights.sum(), means, sds)


@st.composite
def samples(draw: st.DrawFn, max_n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Observations within 15 and positive counts."""
    n = draw(st.integers(5, max_n))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.normal(0, 5, n), rng.integers(1, 5, n).astype(float)
