"""A study of seconds, for tests of the workflow."""

from typing import Any

# Chains that do not go on.
FEW = {"draws": 50, "tune": 50, "max_draws": None}

DESIGN: dict[str, Any] = {
    "name": "tiny",
    "title": "Tiny",
    "seed": 7,
    "closely": 1,
    "references": 1,
    "remedies": {"scenarios": ["near"], "replicates": 1},
    "choice": {"criteria": {"bic": 2, "waic": 1}, "ks": [2]},
    "priors": {
        "scenarios": ["near"],
        "replicates": 1,
        "compared": [{"name": "default", "rule": "default"}],
    },
    "starts": {"scenarios": ["near"], "replicates": 1},
    "intervals": {"replicates": 2},
    "replicates": {"em": 12, "lbfgs": 12, "map": 4, "nuts": 1},
    "options": {"nuts": FEW, "nuts-ordered": FEW},
    "scenarios": [
        {"name": "near", "weights": [0.5, 0.5], "means": [0, 2], "sds": [1, 1], "n": 60},
        {"name": "far", "weights": [0.3, 0.7], "means": [0, 6], "sds": [1, 2], "n": 60},
    ],
    "calibration": {
        "replicates": 8,
        "n": 20,
        "of": 9,
        "prior": {"weights": 2, "means": [0, 2], "variances": [2, 1]},
        "methods": ["nuts", "nuts-ordered"],
        "options": {"nuts": FEW, "nuts-ordered": FEW},
    },
}
