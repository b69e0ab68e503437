"""The criteria by which a number of components is chosen: their names, and nothing computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Criterion:
    """A rule that chooses K.

    label: in tables and figures.
    source: where it comes from.
    sign: -1 where the least value is chosen, 1 where the greatest, 0 where it is read otherwise.
    needs: the fits alone, the data too, or a posterior, which is there whether a maximum can be
        believed or not.
    """

    label: str
    source: str
    sign: int
    needs: Literal["fit", "data", "posterior"] = "fit"


CRITERIA: dict[str, Criterion] = {
    "aic": Criterion("AIC", "Akaike (1974)", -1),
    "aicc": Criterion("AICc", "Hurvich and Tsai (1989)", -1),
    "bic": Criterion("BIC", "Schwarz (1978)", -1),
    "icl": Criterion("ICL", "Biernacki, Celeux and Govaert (2000), by the entropy", -1, "data"),
    "icl-hard": Criterion("ICL, hard", "the same, by the most probable allocation", -1, "data"),
    "cv": Criterion("cross-validation", "Smyth (2000)", 1, "data"),
    "lrt": Criterion("bootstrap LRT", "McLachlan (1987)", 0, "data"),
    "laplace": Criterion("Laplace", "Tierney and Kadane (1986)", 1, "posterior"),
    "bridge": Criterion("bridge sampling", "Meng and Wong (1996)", 1, "posterior"),
    "loo": Criterion("PSIS-LOO", "Vehtari, Gelman and Gabry (2017)", 1, "posterior"),
    "waic": Criterion("WAIC", "Watanabe (2010)", 1, "posterior"),
    "overfitted": Criterion(
        "overfitted, .01", "Malsiner-Walli, Fruehwirth-Schnatter and Gruen (2016)", 1, "posterior"
    ),
    "overfitted-half": Criterion("overfitted, .5", "Rousseau and Mengersen (2011)", 1, "posterior"),
}
# Of the maximum likelihood, in milliseconds; what `select` computes unless it is told otherwise.
INFORMATION = ("aic", "aicc", "bic", "icl", "icl-hard")
