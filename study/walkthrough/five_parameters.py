"""The second article: from maximum likelihood to EM for all five parameters of two components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import binomtest

from models import Fit, Mixture, MixtureModel, fit
from models.em import e_step, em, m_step
from models.likelihood import moments
from models.mixture import Floats
from models.sample import Data, as_data
from models.solution import Collapse
from models.theory import missing_information
from models.verdicts import believable
from study.report import measures
from study.report.readers import fixed
from study.report.style import COMPONENTS, DOUBLE, GREY, SINGLE, legend_above

TRUTH = Mixture([0.3, 0.7], [1.0, 9.0], [2.0, 3.0])
N, SEED = 5000, 1
GRID = np.linspace(0.0, 1.0, 11)  # of weights, as in the article
PUBLISHED_MAXIMUM = -14437.1  # of the log-likelihood over that grid
SEEDS = 2000
ITERATIONS = 40
STARTS = 200
FEW = 20  # observations, few enough for starts to end apart
NAMES = ("weight 1", "mean 1", "mean 2", "sd 1", "sd 2")
TRUE: dict[str, Any] = {"color": "#D55E00", "ls": "--", "lw": 1.0}


def five(mixture: Mixture) -> Floats:
    """(5,): weight 1, the means, the sds."""
    return np.concatenate([mixture.weights[:1], mixture.means, mixture.sds])


def mixture_of(values: Floats) -> Mixture:
    """The mixture of `five`."""
    return Mixture([values[0], 1.0 - values[0]], values[1:3], values[3:5])


@dataclass(frozen=True)
class Line:
    """Data about y = 2x with noise of sd 1, and the log-likelihood of slopes."""

    x: Floats
    y: Floats

    @classmethod
    def run(cls) -> Line:
        """Thirty points."""
        rng = np.random.default_rng(SEED)
        x = np.sort(rng.uniform(0.0, 3.0, 30))
        return cls(x, 2.0 * x + rng.standard_normal(x.size))

    @property
    def slopes(self) -> Floats:
        """-3, -2.5, ..., 7."""
        return np.linspace(-3.0, 7.0, 21)

    def loglik(self, slope: float) -> float:
        """Of y given x and normal noise of sd 1, in nats."""
        residuals = self.y - slope * self.x
        return float(-0.5 * residuals @ residuals - 0.5 * self.x.size * np.log(2.0 * np.pi))

    @property
    def least_squares(self) -> float:
        """The slope with the least sum of squares, sum xy / sum x^2."""
        return float(self.x @ self.y / (self.x @ self.x))

    @property
    def most_likely(self) -> float:
        """The slope of the highest log-likelihood, by a search that knows nothing of squares."""
        return float(minimize(lambda a: -self.loglik(a[0]), [0.0], tol=1e-12).x[0])


def line(problem: Line) -> Figure:
    """The log-likelihood by slope, and the lines through the data."""
    figure = Figure(figsize=(DOUBLE, 2.5))
    left, right = figure.subplots(1, 2)
    slopes = problem.slopes
    logliks = np.array([problem.loglik(a) for a in slopes])
    fine = np.linspace(slopes[0], slopes[-1], 201)
    left.plot(fine, [problem.loglik(a) for a in fine], color=GREY)
    left.plot(slopes, logliks, "o", color="black")
    left.axvline(problem.least_squares, color="black", ls="--", lw=0.8, label="least squares")
    left.set_xlabel("Slope $a$")
    left.set_ylabel("Log-likelihood (nats)")
    best = int(np.argmax(logliks))
    for i, a in enumerate(slopes):
        right.plot(
            [0, 3],
            [0, 3 * a],
            color="black" if i == best else "0.8",
            lw=1.2 if i == best else 0.6,
            zorder=2 if i == best else 1,
            label=f"$a$ = {a:g}, the highest of the grid" if i == best else None,
        )
    right.plot(problem.x, problem.y, "o", color=COMPONENTS[0], zorder=3, label="data")
    right.set_ylim(-6.0, 12.0)
    right.set_xlabel("$x$")
    right.set_ylabel("$y$")
    legend_above(figure)
    return figure


@dataclass(frozen=True)
class Sample:
    """The article's mixture: a sample with its labels, and its maximum likelihood estimate."""

    data: Data
    labels: NDArray[np.intp]
    best: Fit

    @classmethod
    def run(cls) -> Sample:
        """One sample of 5,000."""
        x, labels = TRUTH.sample(N, np.random.default_rng(SEED))
        data = as_data(x, None, MixtureModel())
        return cls(data, labels, fit("newton", x, start=TRUTH))

    @property
    def estimate(self) -> Mixture:
        """The maximum likelihood estimate."""
        assert self.best.mixture is not None
        return self.best.mixture

    def loglik(self, mixture: Mixture) -> float:
        """Of the sample, in nats."""
        return self.data.moments(mixture).loglik

    def slice_maximum(self, parameter: int) -> float:
        """Where the log-likelihood is highest in one of `five`, the others at the truth."""
        values, grid = five(TRUTH), slice_grid(parameter)

        def negative(value: Floats) -> float:
            return -self.loglik(mixture_of(np.where(np.arange(5) == parameter, value[0], values)))

        bounds = [(grid[0], grid[-1])]
        return float(minimize(negative, [values[parameter]], bounds=bounds, tol=1e-12).x[0])


def slice_grid(parameter: int) -> Floats:
    """Values of one of `five` about the truth: six bounds of its standard error each way."""
    reach = (0.075, 0.55, 0.5, 0.4, 0.4)[parameter]
    return five(TRUTH)[parameter] + np.linspace(-reach, reach, 81)


def histogram(sample: Sample) -> Figure:
    """The sample, by component as only a simulation knows it, under the true density."""
    figure = Figure(figsize=(SINGLE, 2.4))
    axes = figure.subplots()
    groups = [sample.data.x[sample.labels == j] for j in range(2)]
    edges = np.linspace(-7.0, 20.0, 55)
    axes.hist(
        groups,
        bins=list(edges),
        weights=[np.full(g.size, 1.0 / (N * 0.5)) for g in groups],
        stacked=True,
        color=["0.6", "0.85"],
        label=["drawn from component 1", "drawn from component 2"],
    )
    axes.plot(edges, TRUTH.density(edges), color="black", label="true density")
    axes.set_xlabel("$x$")
    axes.set_ylabel("Density")
    legend_above(figure)
    return figure


def densities(sample: Sample) -> Figure:
    """The mixture's density for four weights of the first component."""
    del sample
    figure = Figure(figsize=(DOUBLE, 1.7))
    x = np.linspace(-10.0, 20.0, 301)
    for axes, p in zip(figure.subplots(1, 4, sharey=True), (0.0, 0.3, 0.6, 0.9), strict=True):
        parts = np.exp(Mixture([p, 1.0 - p], TRUTH.means, TRUTH.sds).log_joint(x)) if p else None
        density = Mixture([p, 1.0 - p], TRUTH.means, TRUTH.sds).density(x)
        axes.fill_between(x, density, color="0.85")
        axes.plot(x, density, color="black")
        if parts is not None:
            for part in parts.T:
                axes.plot(x, part, color="black", ls=":", lw=0.8)
        axes.set_title(f"$p$ = {p:g}")
    figure.axes[0].set_ylim(0.0, None)
    figure.axes[0].set_ylabel("Density")
    figure.supxlabel("$x$", fontsize=7)
    return figure


def slices(sample: Sample) -> Figure:
    """The log-likelihood in one parameter at a time; its maxima, the truth, the joint maximum."""
    figure = Figure(figsize=(DOUBLE, 3.9))
    panels = list(figure.subplots(2, 3).flat)
    truth, joint = five(TRUTH), five(sample.estimate)
    top = sample.best.loglik
    whole = panels.pop(0)
    values = [Mixture([p, 1.0 - p], TRUTH.means, TRUTH.sds) for p in GRID]
    logliks = np.array([sample.loglik(m) for m in values]) / 1000.0
    whole.plot(GRID, logliks, "o-", color="black", mfc="white")
    whole.axvline(GRID[int(np.argmax(logliks))], **TRUE)
    whole.set_title("the article's grid")
    whole.set_xlabel(NAMES[0])
    whole.set_ylabel("Log-likelihood\n(thousand nats)")
    for j, axes in enumerate(panels):
        grid = slice_grid(j)
        curve = [
            sample.loglik(mixture_of(np.where(np.arange(5) == j, value, truth))) - top
            for value in grid
        ]
        axes.plot(grid, curve, color="black")
        axes.axvline(truth[j], label="truth", **TRUE)
        axes.axvline(sample.slice_maximum(j), color="black", ls=":", label="maximum of the slice")
        axes.plot(joint[j], 0.0, "D", color=COMPONENTS[0], label="joint maximum", clip_on=False)
        axes.set_xlabel(NAMES[j])
        axes.set_ylim(min(curve), 0.06 * abs(min(curve)))
    for axes in (panels[0], panels[2]):
        axes.set_ylabel("Below the joint\nmaximum (nats)")
    legend_above(figure)
    return figure


def maxima_of_slices(sample: Sample) -> pd.DataFrame:
    """By parameter: truth, maximum of the slice, joint maximum with its standard error."""
    se = np.asarray(sample.best.se)
    errors = np.concatenate([se[0, :1], se[1], se[2]])
    joint = five(sample.estimate)
    return pd.DataFrame(
        {
            "parameter": NAMES,
            "truth": five(TRUTH),
            "maximum_of_slice": [sample.slice_maximum(j) for j in range(5)],
            "joint_maximum": joint,
            "se": errors,
            "joint_minus_truth_in_se": (joint - five(TRUTH)) / errors,
        }
    )


@dataclass(frozen=True)
class Maxima:
    """Many samples: where on the article's grid the log-likelihood is highest, and how high."""

    weights: Floats
    logliks: Floats

    @classmethod
    def run(cls, seeds: int = SEEDS) -> Maxima:
        """One sample a seed."""
        found = []
        mixtures = [Mixture([p, 1.0 - p], TRUTH.means, TRUTH.sds) for p in GRID]
        counts = np.ones(N)
        for seed in range(seeds):
            x = TRUTH.sample(N, np.random.default_rng([SEED, seed]))[0]
            logliks = [moments(mixture, x, counts).loglik for mixture in mixtures]
            best = int(np.argmax(logliks))
            found.append((GRID[best], logliks[best]))
        return cls(*np.array(found).T)

    @property
    def share(self) -> float:
        """Of samples whose highest point of the grid is .3."""
        return float(np.isclose(self.weights, 0.3).mean())

    @property
    def quantile(self) -> float:
        """Of the article's published maximum among the simulated ones."""
        return float((self.logliks <= PUBLISHED_MAXIMUM).mean())


def maxima(found: Maxima) -> Figure:
    """The distribution of the maximum over the grid, the published one in it."""
    figure = Figure(figsize=(SINGLE, 2.2))
    axes = figure.subplots()
    axes.hist(found.logliks, bins=40, color="0.8", edgecolor="white", linewidth=0.3)
    axes.axvline(PUBLISHED_MAXIMUM, color="black", ls="--")
    axes.text(
        PUBLISHED_MAXIMUM - 3.0,
        axes.get_ylim()[1],
        f"published\n{fixed(PUBLISHED_MAXIMUM, 1)}\nquantile {found.quantile:.3f}",
        ha="right",
        va="top",
    )
    axes.set_xlabel("Highest log-likelihood on the grid of weights (nats)")
    axes.set_ylabel(f"Samples of {found.logliks.size:,}")
    return figure


def complete_data(sample: Sample) -> pd.DataFrame:
    """At EM's second iterate: each part of the expected complete-data log-likelihood by itself.

    Its maximiser by a general search beside the M step's closed form.
    """
    start = article_start(sample.data, np.random.default_rng(SEED)).by_mean()
    model = MixtureModel()
    current = m_step(start, e_step(start, sample.data), model)
    after = m_step(current, e_step(current, sample.data), model)
    t, x = current.responsibilities(sample.data.x), sample.data.x
    sizes = t.sum(axis=0)
    rows = []

    def weight_part(p: Floats) -> float:
        return float(sizes[0] * np.log(p[0]) + sizes[1] * np.log(1.0 - p[0]))

    searched = minimize(lambda p: -weight_part(p), [0.5], bounds=[(1e-6, 1.0 - 1e-6)], tol=1e-14).x
    rows.append(("weight 1", searched[0], after.weights[0]))
    for j in range(2):

        def part(values: Floats, j: int = j) -> float:
            z = (x - values[0]) / np.exp(values[1])
            return float(-0.5 * (t[:, j] @ (z * z)) - sizes[j] * values[1])

        begin = [current.means[j], np.log(current.sds[j])]
        found = minimize(lambda v, p=part: -p(v) / N, begin, tol=1e-12).x
        rows.append((f"mean {j + 1}", found[0], after.means[j]))
        rows.append((f"sd {j + 1}", float(np.exp(found[1])), after.sds[j]))
    table = pd.DataFrame(rows, columns=["parameter", "searched", "m_step"])
    table["difference"] = table["searched"] - table["m_step"]
    return table


def split(sample: Sample) -> Figure:
    """Each component's part of the expected complete-data log-likelihood, over its mean and sd."""
    start = article_start(sample.data, np.random.default_rng(SEED)).by_mean()
    model = MixtureModel()
    current = m_step(start, e_step(start, sample.data), model)
    expected = e_step(current, sample.data)
    after = m_step(current, expected, model)
    figure = Figure(figsize=(DOUBLE, 2.6))
    for j, axes in enumerate(figure.subplots(1, 2)):
        n, s1, s2 = expected.t[j]
        reach = 0.8 * after.sds[j]
        m = after.means[j] + np.linspace(-reach, reach, 121)
        s = after.sds[j] * np.exp(np.linspace(-0.5, 0.5, 101))
        shift = (m - current.means[j]) / current.sds[j]
        squares = current.sds[j] ** 2 * (s2 - 2.0 * shift * s1 + shift**2 * n)
        part = -0.5 * squares / s[:, None] ** 2 - n * np.log(s[:, None])
        levels = -np.array([500.0, 200.0, 100.0, 50.0, 20.0, 5.0])
        lines = axes.contour(
            m, s, part - part.max(), levels, colors="0.5", linewidths=0.7, linestyles="solid"
        )
        axes.clabel(lines, fontsize=7, fmt="%g")
        axes.plot(
            current.means[j],
            current.sds[j],
            "o",
            color="black",
            mfc="white",
            label="before the step",
        )
        axes.plot(after.means[j], after.sds[j], "o", color="black", label="weighted mean and sd")
        axes.set_xlim(
            min(m[0], current.means[j] - 0.1 * reach), max(m[-1], current.means[j] + 0.1 * reach)
        )
        axes.set_ylim(min(s[0], 0.95 * current.sds[j]), max(s[-1], 1.05 * current.sds[j]))
        axes.set_xlabel(f"mean {j + 1}")
        axes.set_ylabel(f"sd {j + 1}")
        axes.set_title(f"component {j + 1}: {n:,.0f} of {N:,} observations")
    legend_above(figure)
    return figure


def article_start(data: Data, rng: np.random.Generator) -> Mixture:
    """p = .5, two data points as means, the data's sd twice."""
    means = rng.choice(data.x, 2)
    sd = data.x.std(ddof=1)
    return Mixture([0.5, 0.5], means, [sd, sd])


def old_mean_step(mixture: Mixture, data: Data) -> Mixture:
    """The article's step in its code: the sds about the means from before the step."""
    expected = e_step(mixture, data)
    new = m_step(mixture, expected, MixtureModel())
    sds = mixture.sds * np.sqrt(expected.t[:, 2] / expected.t[:, 0])
    return Mixture.trusted(new.weights, new.means, sds)


def new_mean_step(mixture: Mixture, data: Data) -> Mixture:
    """EM's step, the sds about the new means."""
    return m_step(mixture, e_step(mixture, data), MixtureModel())


type Three = tuple[Floats, Floats, Floats]


def em_step(w: Floats, mu: Floats, sigma: Floats, x: Floats) -> Three:
    """One step of EM from weights, means and sds (K,), for observations (n,)."""
    f = np.exp(-0.5 * ((x[:, None] - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    t = w * f / (w * f).sum(axis=1, keepdims=True)  # E: responsibilities, (n, K)
    size = t.sum(axis=0)
    w = size / x.size  # M: shares, means and sds, weighted
    mu = (t * x[:, None]).sum(axis=0) / size
    sigma = np.sqrt((t * (x[:, None] - mu) ** 2).sum(axis=0) / size)
    return w, mu, sigma


@dataclass(frozen=True)
class Runs:
    """EM from one of the article's random starts, with either update of the sds.

    parameters: (iterations + 1, 5) each; logliks likewise.
    """

    new: Floats
    old: Floats
    new_logliks: Floats
    old_logliks: Floats

    @classmethod
    def run(cls, sample: Sample, iterations: int = 100) -> Runs:
        """From one start."""
        start = article_start(sample.data, np.random.default_rng(SEED))
        found = []
        for step in (new_mean_step, old_mean_step):
            mixture, path = start, []
            for _ in range(iterations + 1):
                path.append((five(mixture), sample.loglik(mixture)))
                mixture = step(mixture, sample.data)
            found.append(path)
        (new, old) = ([values for values, _ in path] for path in found)
        (new_logliks, old_logliks) = ([loglik for _, loglik in path] for path in found)
        return cls(*(np.array(v) for v in (new, old, new_logliks, old_logliks)))


def traces(sample: Sample, runs: Runs) -> Figure:
    """The five parameters by iteration, with the truth and the joint maximum."""
    figure = Figure(figsize=(DOUBLE, 2.0))
    joint = five(sample.estimate)
    swapped = runs.new[-1, 1] > runs.new[-1, 2]
    order = [0, 2, 1, 4, 3] if swapped else [0, 1, 2, 3, 4]
    values = runs.new[: ITERATIONS + 1, order]
    if swapped:
        values = values.copy()
        values[:, 0] = 1.0 - values[:, 0]
    for j, axes in enumerate(figure.subplots(1, 5)):
        axes.plot(values[:, j], color="black", label="EM")
        axes.axhline(five(TRUTH)[j], label="truth", **TRUE)
        axes.axhline(joint[j], color=COMPONENTS[0], ls=":", label="joint maximum")
        axes.set_title(NAMES[j])
        axes.set_xticks([0, 20, 40])
    figure.supxlabel("Iteration", fontsize=7)
    legend_above(figure)
    return figure


def rate(sample: Sample) -> float:
    """EM's rate at the joint maximum, from the sample's own information."""
    return float(missing_information(sample.estimate, MixtureModel(), sample.data)[0])


def old_mean(runs: Runs, sample: Sample) -> Figure:
    """Both updates of the sds: what they still lack by iteration, and how far apart they are."""
    figure = Figure(figsize=(DOUBLE, 2.4))
    left, right = figure.subplots(1, 2)
    best = sample.best.loglik
    shrinks = rate(sample) ** 2
    iterations = np.arange(runs.new_logliks.size)
    for logliks, style, label in (
        (runs.new_logliks, {"color": "black", "ls": "-", "lw": 1.8}, "sd about the new mean (EM)"),
        (runs.old_logliks, {"color": "#E69F00", "ls": "--"}, "sd about the old mean (ECM)"),
    ):
        gap = best - logliks
        shown = gap > 1e-9
        left.plot(iterations[shown], gap[shown], label=label, **style)
    anchor = 40
    late = iterations[20:]
    left.plot(
        late,
        (best - runs.new_logliks[anchor]) * shrinks ** (late - anchor),
        color=GREY,
        ls=":",
        label=f"predicted: × {shrinks:.4f} a step",
    )
    left.set_yscale("log")
    left.set_ylim(1e-6, None)
    left.set_ylabel("Gap to the maximum (nats)")
    apart = np.abs(runs.new - runs.old).max(axis=1)
    right.plot(iterations[1:], apart[1:], color="black")
    right.set_yscale("log")
    right.set_ylabel("Largest difference between\nthe two in any parameter")
    for axes in (left, right):
        axes.set_xlabel("Iteration")
    legend_above(figure)
    return figure


KINDS = (
    "maximum, as labelled",
    "maximum, labels swapped",
    "other local maximum",
    "components equal",
    "spurious local maximum",
    "degenerate",
)


@dataclass(frozen=True)
class Ends:
    """Where EM ends from many of the article's random starts.

    parameters: (STARTS, 5), in the start's order of components. kinds: one of KINDS each; the
    maximum is the highest end that none of the last three describes: components that started equal
    and stay so; a component too narrow for its size (`believable`); a collapse onto a point.
    iterations: how many each took.
    """

    title: str
    parameters: Floats
    logliks: Floats
    kinds: NDArray[np.str_]
    iterations: Floats

    @classmethod
    def run(cls, data: Data, title: str) -> Ends:
        """EM to its own stop, or to a collapse."""
        rng = np.random.default_rng([SEED, data.x.size])
        found = []
        for _ in range(STARTS):
            try:
                one = em(data, MixtureModel(), article_start(data, rng), rng)
                found.append((five(one.mixture), data.moments(one.mixture).loglik, one.n_iter))
            except Collapse as collapse:
                found.append((five(collapse.mixture), np.nan, 0))
        parameters, logliks, iterations = (np.array(v) for v in zip(*found, strict=True))
        mean_1, mean_2 = parameters[:, 1:3].T
        degenerate, equal = np.isnan(logliks), mean_1 == mean_2
        model = MixtureModel()
        spurious = np.array([not believable(mixture_of(v), model, data) for v in parameters])
        best = logliks[~(degenerate | equal | spurious)].max()
        conditions = [degenerate, equal, spurious, best - logliks > 1e-3, mean_1 > mean_2]
        kinds = np.select(conditions, [KINDS[i] for i in (5, 3, 4, 2, 1)], KINDS[0])
        return cls(title, parameters, logliks, kinds, iterations)


def all_ends(sample: Sample) -> tuple[Ends, ...]:
    """Of the whole sample, of its first few observations, and of these as whole numbers."""
    few = sample.data.x[:FEW]
    return (
        Ends.run(sample.data, f"n = {N:,}"),
        Ends.run(as_data(few, None, MixtureModel()), f"the first {FEW}"),
        Ends.run(as_data(np.round(few), None, MixtureModel()), f"the first {FEW}, rounded"),
    )


def ends(many: Sequence[Ends]) -> pd.DataFrame:
    """By sample and kind of end: how many starts, log-likelihoods, iterations, smallest sd."""
    rows: list[dict[str, Any]] = []
    for one in many:
        for kind in KINDS:
            own = one.kinds == kind
            share = measures.proportion(own.astype(float))
            found = {"sample": one.title, "end": kind, "starts": int(own.sum())}
            found |= {"share": share.value, "share_mcse": share.mcse}
            if own.any():
                found["highest_loglik"] = one.logliks[own].max()
                found["lowest_loglik"] = one.logliks[own].min()
                found["median_iterations"] = float(np.median(one.iterations[own]))
                found["smallest_sd"] = float(one.parameters[own, 3:].min())
            rows.append(found)
    return pd.DataFrame(rows)


def starts(many: Sequence[Ends]) -> Figure:
    """The final means of all starts, a marker a kind of end."""
    figure = Figure(figsize=(DOUBLE, 2.8))
    markers = ("o", "s", "^", "d", "P", "X")
    faces = ("white", "0.6", COMPONENTS[1], COMPONENTS[3], COMPONENTS[0], COMPONENTS[5])
    for one, axes in zip(many, figure.subplots(1, len(many)), strict=True):
        for kind, marker, face in zip(KINDS, markers, faces, strict=True):
            own = one.parameters[one.kinds == kind]
            if not own.size:
                continue
            axes.scatter(
                own[:, 1],
                own[:, 2],
                24,
                face,
                marker=marker,
                label=kind,
                edgecolors="black",
                lw=0.6,
            )
        axes.axline((5.0, 5.0), slope=1.0, color="0.85", lw=0.6, zorder=0)
        axes.plot(*TRUTH.means, "+", color="black", ms=9, mew=1.0, label="truth", ls="none")
        axes.set_title(one.title)
        axes.set_xlabel("mean 1 at the end")
    figure.axes[0].set_ylabel("mean 2 at the end")
    legend_above(figure)
    return figure


def responsibilities(sample: Sample) -> Figure:
    """The probability of component 2 by x at the estimate, and how often the label was 2."""
    figure = Figure(figsize=(SINGLE, 2.4))
    axes = figure.subplots()
    grid = np.linspace(-6.0, 16.0, 300)
    axes.plot(grid, sample.estimate.responsibilities(grid)[:, 1], color="black", label="estimated")
    edges = np.arange(-6.0, 16.5, 1.0)
    place = np.digitize(sample.data.x, edges)
    for b in range(1, edges.size):
        labels = sample.labels[place == b]
        if not labels.size:
            continue
        share = binomtest(int(labels.sum()), labels.size)
        low, high = share.proportion_ci(method="wilson")
        axes.errorbar(
            sample.data.x[place == b].mean(),
            share.statistic,
            [[share.statistic - low], [high - share.statistic]],
            fmt="o",
            color=COMPONENTS[0],
            mfc="white",
            elinewidth=0.7,
            label="share of labels 2, bins of 1",
        )
    axes.set_xlabel("$x$")
    axes.set_ylabel("Probability of component 2")
    legend_above(figure)
    return figure
