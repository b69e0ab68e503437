"""Figures of a study: each a function from the gathered rows to a matplotlib Figure.

FIGURES lists them, BENCHMARK_FIGURES those of the benchmarks. How they look is in style.py; what
they draw, in the other modules. Nothing here uses pyplot, whose state is global.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from study.benchmarks.scaling import scaling
from study.benchmarks.tables import Measured
from study.report.exhibit import Exhibit
from study.report.figures import convergence, labels, performance, remedies, uncertainty
from study.report.figures.calibration import calibration
from study.report.figures.estimates import bias, coverage, coverage_weight, densities, rmse
from study.report.figures.fitted import fitted_densities
from study.report.figures.optimisation import effort, gap, seconds
from study.report.figures.overview import overview
from study.report.figures.style import STYLE, styled
from study.report.figures.switching import allocation, joint_means, traces
from study.rows import Results

FIGURES: tuple[Exhibit[Results, Figure], ...] = (
    Exhibit("overview", "At a glance", "At a glance", styled(overview)),
    Exhibit("densities", "True densities", "Estimates", styled(densities)),
    Exhibit("bias", "Bias, grid", "Estimates", styled(bias)),
    Exhibit("rmse", "Root mean squared error, grid", "Estimates", styled(rmse)),
    Exhibit("lollipops", "Bias, efficiency, coverage", "Estimates", styled(performance.lollipops)),
    Exhibit("nested-loop", "The grid at once", "Estimates", styled(performance.nested_loop)),
    Exhibit("bias-rmse", "Bias against RMSE", "Estimates", styled(performance.bias_rmse)),
    Exhibit("coverage", "Coverage, first mean, grid", "Uncertainty", styled(coverage)),
    Exhibit("coverage-weight", "Coverage, weight, grid", "Uncertainty", styled(coverage_weight)),
    Exhibit("kinds", "Coverage by kind of interval", "Uncertainty", styled(uncertainty.kinds)),
    Exhibit("kinds-grid", "The same over the grid", "Uncertainty", styled(uncertainty.kinds_grid)),
    Exhibit("zip", "Interval by interval", "Uncertainty", styled(uncertainty.zipped)),
    Exhibit("fitted-densities", "Real data and fits", "Real data", styled(fitted_densities)),
    Exhibit("verdict-shares", "Verdicts", "Optimisation", styled(convergence.verdicts)),
    Exhibit("stopping", "Stopping rules", "Optimisation", styled(convergence.stopping)),
    Exhibit("rate", "EM's rate and theory", "Optimisation", styled(convergence.rate)),
    Exhibit("descent", "Gap by passes and seconds", "Optimisation", styled(convergence.descent)),
    Exhibit("profile", "Performance profiles", "Optimisation", styled(convergence.profiles)),
    Exhibit("many-starts", "Starts needed", "Optimisation", styled(convergence.many_starts)),
    Exhibit("gap", "Gap to the best log-likelihood", "Optimisation", styled(gap)),
    Exhibit("effort", "Passes over the data", "Optimisation", styled(effort)),
    Exhibit("traces", "Means as sampled and relabelled", "Label switching", styled(traces)),
    Exhibit("joint-means", "Joint draws of two means", "Label switching", styled(joint_means)),
    Exhibit("allocation", "Allocation probabilities", "Label switching", styled(allocation)),
    Exhibit("occupancy", "Labellings by chain", "Label switching", styled(labels.occupancy)),
    Exhibit("rhat", "R-hat and relabelling", "Label switching", styled(labels.rhat)),
    Exhibit("barrier", "Switching and the barrier", "Label switching", styled(labels.barrier)),
    Exhibit("calibration-bands", "Ranks against uniform", "Calibration", styled(calibration)),
    Exhibit("remedies-bias", "Bias by remedy", "Label switching", styled(remedies.remedies)),
    Exhibit("warning-rates", "Warnings and answers", "Label switching", styled(remedies.warnings)),
    Exhibit("time", "Seconds by method", "Cost", styled(seconds)),
)

BENCHMARK_FIGURES: tuple[Exhibit[Measured, Figure], ...] = (
    Exhibit("scaling", "Seconds against n", "Benchmarks", styled(scaling)),
)


def save(figure: Figure, stem: Path) -> None:
    """stem.pdf, stem.svg and stem.png (300 dpi), the same bytes on every run."""
    with mpl.rc_context({"svg.hashsalt": stem.name}, fname=STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # keeps the layout, the same in all three files
        figure.savefig(stem.with_suffix(".pdf"), metadata={"CreationDate": None})
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(stem.with_suffix(".png"), metadata={"Software": None}, dpi=300)
