"""The first article: EM for the weight of two known components, and the bird problem it poses.

Its data are drawn from R's own random numbers, so its printed results can be met digit for digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from models import Fit, Mixture, MixtureModel, fit
from models.likelihood import moments
from models.mixture import Floats
from models.theory import efficiency_bound, labelled_bound, missing_information, quadrature
from study.report import measures
from study.report.style import COMPONENTS, DOUBLE, GREY, SINGLE, legend_above
from study.walkthrough.r_stream import RStream

TRUTH = Mixture([0.8, 0.2], [0.0, 2.0], [1.0, 1.0])
N, START, TOLERANCE = 500_000, 0.5, 1e-5
FLOCKS = Mixture([0.4, 0.6], [28.0, 36.0], [2.5, 3.0])  # grams; the article gives no numbers
BIRDS, FLOCK_REPLICATES = 100, 500

# As printed: iteration 0 to 18, the weight of the first component, log-likelihood, its rise.
PUBLISHED = (
    ("0.5", "-877590.", ""),
    ("0.665", "-837000.", "4.06e+4"),
    ("0.738", "-828034.", "8.97e+3"),
    ("0.770", "-825959.", "2.07e+3"),
    ("0.785", "-825455.", "5.05e+2"),
    ("0.793", "-825328.", "1.27e+2"),
    ("0.797", "-825295.", "3.24e+1"),
    ("0.799", "-825287.", "8.36e+0"),
    ("0.800", "-825285.", "2.17e+0"),
    ("0.800", "-825284.", "5.63e-1"),
    ("0.800", "-825284.", "1.46e-1"),
    ("0.800", "-825284.", "3.81e-2"),
    ("0.800", "-825284.", "9.92e-3"),
    ("0.801", "-825284.", "2.58e-3"),
    ("0.801", "-825284.", "6.73e-4"),
    ("0.801", "-825284.", "1.75e-4"),
    ("0.801", "-825284.", "4.56e-5"),
    ("0.801", "-825284.", "1.19e-5"),
    ("0.801", "-825284.", "3.09e-6"),
)


def article_sample(n: int = N) -> Floats:
    """(n,): the article's Y: set.seed(1), n uniforms for the labels, then n normals."""
    stream = RStream(1)
    second = (stream.uniform(n) > TRUTH.weights[0]).astype(int)
    return TRUTH.means[second] + TRUTH.sds[second] * stream.normal(n)


@dataclass(frozen=True)
class KnownComponents:
    """The first article's fit: its data, EM's and Newton's traces, and what theory predicts."""

    x: Floats
    model: MixtureModel
    em: Fit
    newton: Fit

    @classmethod
    def run(cls) -> KnownComponents:
        """EM to the article's stop, and Newton's method, from its start."""
        x, model = article_sample(), MixtureModel(2, TRUTH.means, TRUTH.sds)
        start = Mixture([START, 1.0 - START], TRUTH.means, TRUTH.sds)
        em = fit("em", x, model, start=start, trace=True, compress=False, min_gain=TOLERANCE)
        newton = fit("newton", x, model, start=start, trace=True, compress=False)
        return cls(x, model, em, newton)

    @property
    def weights(self) -> Floats:
        """(19,): the first weight by EM iteration."""
        return _trace(self.em)[1]

    @cached_property
    def logliks(self) -> Floats:
        """(19,): the log-likelihood by EM iteration, from sums without rounding.

        The last rise, 3.09e-6, is 4e-12 of the log-likelihood, and its third digit finer than a
        pass over half a million observations rounds.
        """
        densities = np.exp(-0.5 * ((self.x[:, None] - TRUTH.means) / TRUTH.sds) ** 2)
        densities /= TRUTH.sds * np.sqrt(2.0 * np.pi)
        return np.array(
            [math.fsum(np.log(densities @ [p, 1.0 - p]).tolist()) for p in self.weights]
        )

    @cached_property
    def rate(self) -> float:
        """The fraction of missing information: EM's rate at the truth, by quadrature."""
        return float(missing_information(TRUTH, self.model, quadrature(TRUTH))[0])

    @cached_property
    def bound(self) -> float:
        """Cramer and Rao's bound on the weight's standard error."""
        return float(efficiency_bound(TRUTH, self.model, N)[0, 0])

    @cached_property
    def labelled_bound(self) -> float:
        """The same with the labels known: sqrt(w(1 - w)/n)."""
        return float(labelled_bound(TRUTH, self.model, N)[0, 0])

    def loglik(self, weight: float) -> float:
        """The log-likelihood at a first weight, in nats."""
        mixture = Mixture([weight, 1.0 - weight], TRUTH.means, TRUTH.sds)
        return moments(mixture, self.x, np.ones(self.x.size)).loglik


def _trace(result: Fit) -> tuple[Floats, Floats]:
    assert result.trace is not None
    return result.trace.loglik, result.trace.parameters[:, 0, 0]


def as_printed(weight: float, loglik: float, rise: float) -> tuple[str, str, str]:
    """A row as R prints it: three significant digits, the log-likelihood to a whole number."""
    printed = ""
    if not np.isnan(rise):
        digits, exponent = f"{rise:.2e}".split("e")
        printed = f"{digits}e{int(exponent):+d}"
    return "0.5" if weight == START else f"{weight:.3f}", f"{loglik:.0f}.", printed


def progress(known: KnownComponents) -> pd.DataFrame:
    """The published rows and the reproduced ones, as printed and in full."""
    rises = np.diff(known.logliks, prepend=np.nan)
    rows = []
    for i, (printed, full) in enumerate(
        zip(PUBLISHED, zip(known.weights, known.logliks, rises, strict=True), strict=True)
    ):
        names = ("weight", "loglik", "rise")
        ours = as_printed(*full)
        rows.append(
            {"iteration": i}
            | {f"{name}_published": value for name, value in zip(names, printed, strict=True)}
            | {f"{name}_reproduced": value for name, value in zip(names, ours, strict=True)}
            | {"equal": "yes" if ours == printed else "no"}
            | dict(zip(names, full, strict=True))
        )
    return pd.DataFrame(rows)


def speed(known: KnownComponents) -> pd.DataFrame:
    """By iteration: what EM and Newton's method still lack, and the ratio of EM's rises."""
    best = known.newton.loglik
    rises = np.diff(known.logliks, prepend=np.nan)
    em = pd.DataFrame(
        {
            "iteration": np.arange(known.logliks.size),
            "em_gap": best - known.logliks,
            "em_ratio_of_rises": np.append([np.nan], rises[1:] / rises[:-1]),
        }
    )
    logliks, weights = _trace(known.newton)
    newton = pd.DataFrame(
        {
            "iteration": np.arange(logliks.size),
            "newton_weight": weights,
            "newton_gap": np.maximum(best - logliks, 0.0),
        }
    )
    return em.merge(newton, on="iteration", how="left")


def path(known: KnownComponents) -> Figure:
    """The log-likelihood against the weight, EM's path on it coloured by iteration."""
    figure = Figure(figsize=(DOUBLE, 2.6))
    whole, near = figure.subplots(1, 2)
    best = known.newton
    peak = best.loglik
    assert best.mixture is not None
    weight = float(best.mixture.weights[0])
    weights, logliks = known.weights, known.logliks
    for axes, low, high, first in ((whole, 0.48, 0.84, 0), (near, 0.7975, 0.8025, 7)):
        grid = np.linspace(low, high, 101)
        axes.plot(grid, [known.loglik(p) - peak for p in grid], color=GREY, zorder=1)
        kept = np.arange(weights.size) >= first
        x, y = weights[kept], logliks[kept] - peak
        for i in range(x.size - 1):
            axes.annotate(
                "",
                (x[i + 1], y[i + 1]),
                (x[i], y[i]),
                arrowprops={"arrowstyle": "-|>", "lw": 0.6, "color": "0.3", "shrinkA": 0},
            )
        points = axes.scatter(
            x,
            y,
            c=np.arange(weights.size)[kept],
            cmap="viridis",
            vmin=0,
            vmax=weights.size - 1,
            s=16,
            edgecolors="black",
            linewidths=0.4,
            zorder=3,
        )
        axes.set_xlabel("Weight of the first component, $p$")
    whole.set_ylabel("Log-likelihood below its maximum (nats)")
    whole.set_title("From the start")
    for i in range(5):
        whole.annotate(
            f"{i}",
            (weights[i], logliks[i] - peak),
            (4, -3),
            textcoords="offset points",
            va="top",
        )
    near.axvline(weight, color=GREY, lw=0.6, ls="--")
    near.set_title("Near the maximum")
    near.set_ylim(-4.2, 0.3)
    near.set_xlim(0.7975, 0.8025)
    bar = figure.colorbar(points, ax=[whole, near], pad=0.02)
    bar.set_label("EM iteration")
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def convergence(known: KnownComponents) -> Figure:
    """EM's rise by iteration on a log scale beside the prediction, and Newton's gaps."""
    figure = Figure(figsize=(SINGLE, 2.6))
    axes = figure.subplots()
    rises = np.diff(known.logliks)
    iterations = np.arange(1, rises.size + 1)
    anchor = rises.size // 2
    predicted = rises[anchor] * known.rate ** (2.0 * (iterations - iterations[anchor]))
    axes.plot(iterations, predicted, color=GREY, label=f"predicted: × {known.rate**2:.4f} a step")
    axes.plot(iterations, rises, "o", color="black", label="EM: rise of the log-likelihood")
    gaps = known.newton.loglik - _trace(known.newton)[0]
    shown = gaps > 1e-13 * abs(known.newton.loglik)
    axes.plot(
        np.arange(gaps.size)[shown],
        gaps[shown],
        "^",
        ls=":",
        color=COMPONENTS[0],
        label="Newton: gap to the maximum",
    )
    axes.axhline(TOLERANCE, color=GREY, lw=0.6, ls="--")
    axes.text(0.0, TOLERANCE * 1.4, "the article's stop")
    axes.set_yscale("log")
    axes.set_xlabel("Iteration")
    axes.set_ylabel("Nats")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(figure)
    return figure


@dataclass(frozen=True)
class Birds:
    """The bird problem: one catch of two flocks, and many, with the labels known and unknown.

    errors: (2, replicates, 5), estimates minus truth, labels known and unknown, in the order
    weight, means, sds.
    """

    x: Floats
    labels: NDArray[np.intp]
    unlabelled: Fit
    errors: Floats

    @classmethod
    def run(cls) -> Birds:
        """A catch with its fits, and FLOCK_REPLICATES more."""
        rng = np.random.default_rng(28)
        x, labels = FLOCKS.sample(BIRDS, rng)
        errors = []
        for _ in range(FLOCK_REPLICATES):
            again, known = FLOCKS.sample(BIRDS, rng)
            unknown = fit("newton", again, start=FLOCKS)
            if unknown.status == "ok" and unknown.mixture is not None:
                errors.append([_five(complete_data_fit(again, known)), _five(unknown.mixture)])
        start = FLOCKS
        return cls(
            x, labels, fit("em", x, start=start), np.array(errors).swapaxes(0, 1) - _five(FLOCKS)
        )

    @property
    def labelled(self) -> Mixture:
        """The complete-data estimates of the catch."""
        return complete_data_fit(self.x, self.labels)


def complete_data_fit(x: Floats, labels: NDArray[np.intp]) -> Mixture:
    """The maximum likelihood estimates where the labels are known: shares, means and sds.

    The mean of a flock is its sum over its size; the article's formula lacks the size.
    """
    groups = [x[labels == j] for j in range(int(labels.max()) + 1)]
    return Mixture(
        [g.size / x.size for g in groups], [g.mean() for g in groups], [g.std() for g in groups]
    )


def _five(mixture: Mixture) -> Floats:
    return np.concatenate([mixture.weights[:1], mixture.means, mixture.sds])


NAMES = ("weight 1", "mean 1", "mean 2", "sd 1", "sd 2")


def birds(problem: Birds) -> pd.DataFrame:
    """Estimates and standard errors with the labels known and unknown; theory and simulation."""
    model = MixtureModel()
    labelled, unlabelled = problem.labelled, problem.unlabelled
    assert unlabelled.mixture is not None
    bounds = [_of(bound(FLOCKS, model, BIRDS)) for bound in (labelled_bound, efficiency_bound)]
    table = pd.DataFrame(
        {
            "parameter": NAMES,
            "truth": _five(FLOCKS),
            "labels_known": _five(labelled),
            "labels_known_se": _of(labelled_bound(labelled, model, BIRDS)),
            "labels_unknown": _five(unlabelled.mixture),
            "labels_unknown_se": _of(unlabelled.se),
            "bound_known": bounds[0],
            "bound_unknown": bounds[1],
            "ratio_of_bounds": bounds[1] / bounds[0],
            "birds_for_one_with_label": (bounds[1] / bounds[0]) ** 2,
            "R": problem.errors.shape[1],
        }
    )
    for name, errors in zip(("known", "unknown"), problem.errors, strict=True):
        found = [measures.empirical_se(column) for column in errors.T]
        table[f"simulated_{name}"] = [f.value for f in found]
        table[f"simulated_{name}_mcse"] = [f.mcse for f in found]
    return table


def _of(rows: Floats) -> Floats:
    return np.concatenate([np.asarray(rows)[0, :1], np.asarray(rows)[1], np.asarray(rows)[2]])


def flocks(problem: Birds) -> Figure:
    """The catch by flock with both fits, and standard errors with labels known and unknown."""
    figure = Figure(figsize=(DOUBLE, 2.7))
    left, right = figure.subplots(1, 2)
    groups = [problem.x[problem.labels == j] for j in range(2)]
    edges = np.arange(np.floor(problem.x.min()), np.ceil(problem.x.max()) + 1.0)
    left.hist(
        groups,
        bins=list(edges),
        stacked=True,
        color=["0.85", "0.6"],
        edgecolor="white",
        linewidth=0.4,
        label=["flock 1", "flock 2"],
    )
    grid = np.linspace(edges[0], edges[-1], 400)
    unlabelled = problem.unlabelled.mixture
    assert unlabelled is not None
    for mixture, style, label in (
        (problem.labelled, "-", "fit, labels known"),
        (unlabelled, "--", "EM, labels unknown"),
    ):
        left.plot(grid, BIRDS * mixture.density(grid), color="black", ls=style, label=label)
    left.set_xlabel("Weight (g)")
    left.set_ylabel("Birds a gram")
    table = birds(problem)
    place = np.arange(len(table))
    known = table["bound_known"].to_numpy(float)
    for offset, column, error, marker, face, label in (
        (-0.16, "simulated_known", "simulated_known_mcse", "o", "black", "labels known"),
        (0.16, "simulated_unknown", "simulated_unknown_mcse", "s", "white", "labels unknown"),
    ):
        height = table[column].to_numpy(float) / known
        right.errorbar(
            place + offset,
            height,
            1.96 * table[error].to_numpy(float) / known,
            fmt=marker,
            color="black",
            mfc=face,
            elinewidth=0.7,
            label=f"{label}, simulated",
        )
    right.plot(
        place + 0.16,
        table["ratio_of_bounds"],
        ls="none",
        marker="_",
        ms=12,
        mew=1.2,
        color=COMPONENTS[0],
        label="bound, labels unknown",
    )
    right.axhline(1.0, color=GREY, lw=0.6, ls="--")
    right.set_xticks(place, NAMES)
    right.set_ylim(0.0, None)
    right.set_ylabel("Standard error over the bound\nwith known labels")
    legend_above(figure)
    return figure
