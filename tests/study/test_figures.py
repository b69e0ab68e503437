"""Every figure draws for every kind of design, leaves three files, and the same bytes each time."""

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from study.report.figures import BENCHMARK_FIGURES, FIGURES, save
from study.report.figures.estimates import cells, series, wilson
from study.report.figures.fitted import mixture
from study.report.figures.labels import crossing
from study.report.figures.style import LOOKS, dodge_width, dodged
from study.report.figures.switching import examples, mean_responsibilities
from study.report.tables import TABLES

from models import METHODS, Mixture
from models.labels import NOT_EXCHANGEABLE
from study import walkthrough
from study.benchmarks.tables import BENCHMARK_TABLES
from study.compute.follow import FROM_STARTS
from study.design import Calibration, DataSet, Design, Grid, ModelSpec, Scenario
from study.report.exhibit import CAPTIONS
from study.rows import CHAIN_WORDS as WORDS
from study.rows import PARAMETERS, TARGETS, Results
from study.simulate import data_set
from study.workflow.stages import STAGES
from tests.models.labels.draws import draws_near, separated

REPLICATES = 4
GRID = Grid(name="grid", separation=[2, 4], weight=[0.5, 0.1], sd_ratio=[1], n=[100, 500])
NAMED = Scenario(name="named", weights=[0.3, 0.7], means=[1, 9], sds=[2, 3], n=50)
KNOWN = Scenario(
    name="known",
    weights=[0.8, 0.2],
    means=[0, 2],
    sds=[1, 1],
    n=50,
    model=ModelSpec(means=[0, 2], sds=[1, 1]),
)
TAILS = Scenario(
    name="tails",
    family="t",
    df=3,
    weights=[0.2, 0.3, 0.5],
    means=[0, 4, 8],
    sds=[1, 1, 1],
    round_to=0.5,
    n=50,
    model=ModelSpec(k=2),
)
FAITHFUL = DataSet(
    name="faithful",
    file=Path(__file__).parents[2] / "study/data/faithful.csv",
    column="waiting",
    unit="minutes",
)


CALIBRATION = Calibration(
    replicates=20,
    n=20,
    of=9,
    prior={"weights": 2, "means": (0, 2), "variances": (2, 1)},
    methods=["nuts", "nuts-ordered"],
)


def design(methods=tuple(METHODS), **parts):
    return Design(
        name="d", title="", seed=1, replicates=dict.fromkeys(methods, REPLICATES), **parts
    )


DESIGNS = {
    "grid and data": design(
        grids=[GRID], scenarios=[NAMED, KNOWN], data=[FAITHFUL], calibration=CALIBRATION
    ),
    "no grid": design(scenarios=[NAMED, TAILS], data=[FAITHFUL]),
    "only data": design(data=[FAITHFUL]),
    "one optimiser": design(["newton"], grids=[GRID], data=[FAITHFUL]),
    "only a sampler": design(["nuts-ordered"], scenarios=[NAMED], data=[FAITHFUL]),
}


@functools.cache
def results(name):
    return synthetic(DESIGNS[name])


def synthetic(design, replicates=None, draws=60):
    """Rows of the shapes that fitting.py writes; the optimisers agree, the last fit fails."""
    rng = np.random.default_rng(0)
    rows = {kind: [] for kind in SCHEMA}
    for unit in design.units():
        real = isinstance(unit, DataSet)
        truth = NAMED.target() if real else unit.target()
        n = 272 if real else unit.n
        counts = design.replicates_of(unit)
        for replicate in range(1 if real else replicates or REPLICATES):
            shared = 0.05 * rng.standard_normal((3, truth.k))
            for method in counts:
                kind = METHODS[method].kind
                key = {"scenario": unit.name, "replicate": replicate, "method": method}
                failed = replicate == 3 and method == "em"
                own = 0.0 if kind == "likelihood" else 0.02 * rng.standard_normal((3, truth.k))
                values = truth.as_rows() + shared + own
                rows["fits"].append(
                    key
                    | {"n": n, "k": truth.k, "status": "failed" if failed else "ok"}
                    | {"message": "", "converged": True, "certified": True}
                    | {"loglik": -100 - rng.exponential(1e-3), "distance": 0.0, "gap": 0.0}
                    | {"n_iter": 9, "moments": rng.integers(5, 50), "second_moments": 2}
                    | {"gradients": 0, "start_passes": 50, "nodes": 0, "exact_passes": 0}
                    | {"sd_ratio": 0.5, "smallest": 20.0, "believable": not failed}
                )
                if kind == "likelihood" and replicate < 2:
                    _follow(rows, key, rng)
                if failed:
                    continue
                rows["estimates"] += [
                    key
                    | {"parameter": parameter, "component": j + 1}
                    | {"truth": np.nan if real else truth.as_rows()[i, j]}
                    | {"estimate": values[i, j], "se": 0.1}
                    | {"lower": values[i, j] - 0.1, "upper": values[i, j] + 0.1}
                    for i, parameter in enumerate(PARAMETERS)
                    for j in range(truth.k)
                    if unit is not KNOWN or parameter == "weight"
                ]
                rows["timings"].append(
                    key
                    | {"n": n, "seconds": n**0.5 * rng.exponential(1e-3)}
                    | {"compile_seconds": 0.1, "start_seconds": 0.1}
                )
                if kind == "posterior" and truth.k > 1:
                    rows["labels"].append(
                        key
                        | dict.fromkeys(SCHEMA["labels"], 0.9)
                        | key
                        | {"verdict": NOT_EXCHANGEABLE if unit is KNOWN else rng.choice(WORDS)}
                        | {"rhat_raw": 1.5, "rhat_relabelled": 1.01, "rhat_invariant": 0.999}
                        | {"largest_share": 0.5, "switches": rng.integers(0, 3)}
                        | {"labellings": rng.integers(1, 3), "divergences": 0, "draws": 4 * draws}
                    )
                    rows["occupancy"] += [
                        key | {"chain": chain, "labelling": labelling, "share": 0.5}
                        for chain in range(2)
                        for labelling in ("1 2", "2 1")
                        if unit is not KNOWN
                    ]
                    if method == "nuts" and unit is not KNOWN:
                        barrier = {"barrier": rng.exponential(10.0)}
                        rows["barriers"].append({**key, **barrier})
                    if replicate == 0:
                        rows["draws"] += _draws(key, truth, draws, rng)
    if design.calibration is not None:
        rows["ranks"] = _ranks(design.calibration, rng)
    return Results(
        design,
        **{
            kind: pd.DataFrame(rows[kind], columns=list(columns)).astype(columns)
            for kind, columns in SCHEMA.items()
        },
    )


def _ranks(spec, rng):
    return [
        {"replicate": i, "method": method, "quantity": quantity, "truth": 0.0, "of": spec.of}
        | {"rank": None if i == 0 else rng.integers(spec.of + 1), "autocorrelation": 0.0}
        | {"rhat": 1.0, "ess": 99.0, "divergences": 0}
        for i in range(spec.replicates)
        for method in spec.methods
        for quantity in ("mean 1", "mean 2", "log-likelihood")
    ]


def _follow(rows, key, rng):
    short = {name: key[name] for name in ("scenario", "replicate")}
    for target in TARGETS:
        passes = rng.choice([5.0 - np.log10(target), np.inf], p=[0.9, 0.1])
        rows["reaches"].append(key | {"target": target, "passes": passes})
    if key["method"] == "newton":
        rows["stops"] += [
            short
            | {"rule": rule, "iteration": 5, "stopped": True}
            | {"gap": 10.0**-i, "distance": 10.0 ** (-i / 2)}
            for i, rule in enumerate(RULES)
        ]
        rows["rates"].append(
            short | {"predicted": 0.9, "observed": 0.9, "certified": True, "iterations": 99}
        )
    if key["method"] in FROM_STARTS:
        rows["optima"] += [
            key
            | {"start": start, "loglik": -100.0 - 5.0 * (rng.random() < 0.3)}
            | {"believable": True, "passes": 20}
            for start in range(5)
        ]


def _draws(key, truth, draws, rng):
    return [
        key
        | {"chain": chain, "draw": draw, "component": j + 1, "weight": 0.5, "sd": 1.0}
        | {"mean": truth.means[j] + 0.1 * rng.standard_normal()}
        for chain in range(2)
        for draw in range(draws)
        for j in range(truth.k)
    ]


def words(figure):
    return " ".join(text.get_text() for text in figure.texts)


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("exhibit", FIGURES, ids=lambda e: e.name)
def test_every_figure_draws_for_every_design(exhibit, name):
    figure = exhibit.make(results(name))
    assert isinstance(figure, Figure)
    assert figure.axes or words(figure).endswith(".")
    figure.draw_without_rendering()


def test_a_figure_without_content_says_so():
    drawn = {exhibit.name: exhibit.make(results("only data")) for exhibit in FIGURES}
    said = {name: words(figure) for name, figure in drawn.items() if not figure.axes}
    assert said["bias"] == "This design has no grid."
    assert set(said) == {
        *("overview", "densities", "bias", "rmse", "lollipops", "nested-loop", "bias-rmse"),
        *("kinds", "kinds-grid", "zip"),
        *("coverage", "coverage-weight", "gap", "effort", "rate", "descent"),
        "calibration-bands",
        *("remedies-bias", "warning-rates"),
    }


def test_three_files_with_the_same_bytes_every_time(tmp_path):
    cells = Grid(name="cells", separation=[2, 4], weight=[0.5], sd_ratio=[1], n=[50])
    study = synthetic(design(grids=[cells], scenarios=[NAMED], data=[FAITHFUL]))
    for exhibit in FIGURES:
        found = []
        for run in ("first", "second"):
            (tmp_path / run).mkdir(exist_ok=True)
            save(exhibit.make(study), tmp_path / run / exhibit.name)
            found.append(
                {f.name: f.read_bytes() for f in (tmp_path / run).glob(f"{exhibit.name}.*")}
            )
        assert set(found[0]) == {f"{exhibit.name}.{ending}" for ending in ("pdf", "svg", "png")}
        assert found[0] == found[1]


def test_every_exhibit_has_a_caption_and_every_caption_an_exhibit():
    walk = (*walkthrough.TABLES, *walkthrough.FIGURES)
    exhibits = (*TABLES, *FIGURES, *BENCHMARK_TABLES, *BENCHMARK_FIGURES, *walk, STAGES)
    names = [exhibit.name for exhibit in exhibits]
    assert len(names) == len(set(names))
    captions = {file.stem for file in CAPTIONS.glob("*.rst")}
    assert captions == {*names, "front", "provenance", "walkthrough"}


def test_each_method_has_a_look_of_its_own():
    assert list(LOOKS) == list(METHODS)
    assert len(set(LOOKS.values())) == len(METHODS)


def test_optimisers_are_one_line_only_if_they_agree():
    table = pd.DataFrame(
        [
            ("cell", "mean", 1, "em", 0.10, 0.02),
            ("cell", "mean", 1, "lbfgs", 0.11, 0.02),
            ("cell", "mean", 1, "map", 0.10, 0.02),
        ],
        columns=["scenario", "parameter", "component", "method", "bias", "bias_mcse"],
    )
    assert [s.label for s in series(table, "bias")] == ["ML (all optimisers)", "MAP"]
    newton = table.iloc[[0]].assign(method="newton", bias=0.2)
    found = [s.label for s in series(pd.concat([table, newton]), "bias")]
    assert found == ["ML (EM, L-BFGS-B)", "Newton", "MAP"]
    odd = table.replace({"method": {"em": "newton", "lbfgs": "nelder-mead", "map": "lbfgs"}})
    found = [s.label for s in series(pd.concat([newton.assign(method="em"), odd]), "bias")]
    assert found == ["EM", "ML (L-BFGS-B, Newton, Nelder-Mead)"]


def test_wilson_intervals_are_not_empty_where_every_interval_covers():
    table = pd.DataFrame({"coverage": [1.0, 0.5, np.nan], "R_coverage": [20, 100, 0]})
    below, above = wilson(table)
    # 20 of 20: Wilson's lower end is R/(R + z^2).
    assert below[0] == pytest.approx(1 - 20 / (20 + 1.959964**2))
    assert above[0] == pytest.approx(0.0, abs=1e-12)
    assert below[1] == pytest.approx(above[1]) == pytest.approx(0.0962, abs=1e-4)


def test_dodged_methods_keep_their_order_and_stay_nearer_than_the_next_place():
    x = np.array([1.0, 2.0, 3.0])
    places = np.stack([dodged(x, i, 5, dodge_width(x)) for i in range(5)])
    assert np.all(np.diff(places, axis=0) > 0)
    assert places.mean(axis=0) == pytest.approx(x)
    assert np.all(places[-1, :-1] < places[0, 1:])


def test_cells_are_the_grids_alone():
    found = cells(DESIGNS["grid and data"])
    assert len(found) == 8
    assert not found["scenario"].isin(["named", "known", "faithful"]).any()


def test_examples_go_from_most_switches_to_none():
    study = synthetic(DESIGNS["grid and data"])
    labels = study.labels.assign(verdict="labels only", switches=5, labellings=2)
    first = labels[(labels["method"] == "nuts") & (labels["replicate"] == 0)].index[:5]
    labels.loc[first[1], "switches"] = 9
    labels.loc[first[2:], "switches"] = 0
    labels.loc[first[0], ["switches", "verdict"]] = 0, "does not mix"  # though it comes first
    labels.loc[first[4], "labellings"] = 1
    three = labels.loc[first[3], "scenario"]
    fits = study.fits.assign(k=study.fits["k"].mask(study.fits["scenario"] == three, 3))
    found = examples(replace(study, labels=labels, fits=fits))
    rows = [labels.loc[first[place]] for place in (1, 2, 3, 4)]
    assert [fit.name for fit in found] == [row["scenario"] for row in rows]
    assert {fit.row["method"] for fit in found} == {"nuts"}
    assert {fit.draws.shape for fit in found} == {(2, 60, 3, 2)}
    known = replace(study, labels=labels.assign(verdict=NOT_EXCHANGEABLE), fits=fits)
    assert examples(known) == []


def test_labellings_are_drawn_where_a_setting_lacks_a_sampler():
    study = results("no grid")
    rows = study.occupancy
    alone = rows[(rows["scenario"] != "tails") | (rows["method"] == "nuts")]
    exhibit = next(e for e in FIGURES if e.name == "occupancy")
    figure = exhibit.make(replace(study, occupancy=alone))
    figure.draw_without_rendering()
    drawn = {axes.get_title(): len(axes.patches) for axes in figure.axes if axes.get_title()}
    assert drawn == {"named": 4, "tails": 4, "faithful": 4}
    assert sorted(len(axes.patches) for axes in figure.axes) == [0, 4, 4, 4, 4, 4]


def test_kept_draws_and_their_data_are_those_of_the_fit():
    study = results("no grid")
    fit = examples(study)[0]
    rows = study.draws
    for key in ("scenario", "replicate", "method"):
        rows = rows[rows[key] == fit.row[key]]
    one = rows[(rows["chain"] == 1) & (rows["draw"] == 7)].sort_values("component")
    np.testing.assert_array_equal(fit.draws[1, 7], one[["weight", "mean", "sd"]].to_numpy().T)
    np.testing.assert_array_equal(fit.x, data_set(study.design, study.design.scenario(fit.name), 0))


def test_mean_responsibilities_are_those_of_the_permuted_draws():
    rng = np.random.default_rng(0)
    draws = draws_near(separated(3, gap=2.0), rng, (2, 5))
    order = rng.permuted(np.tile(np.arange(3), (2, 5, 1)), axis=-1)
    x = np.linspace(-1, 6, 9)
    expected = np.mean(
        [
            Mixture(*draws[c, d][:, order[c, d]]).responsibilities(x)
            for c in range(2)
            for d in range(5)
        ],
        axis=0,
    )
    np.testing.assert_allclose(mean_responsibilities(draws, x, order), expected.T, atol=1e-12)


def test_the_energy_of_a_trajectory_exceeds_a_barrier_as_often_as_theory_says():
    """A million energies of a normal posterior of five parameters, their fall from the mode and
    the kinetic energy; five Monte Carlo standard errors, missed less than once in 1e6."""
    rng = np.random.default_rng(0)
    energy = 0.5 * (rng.standard_normal((10, 1_000_000)) ** 2).sum(axis=0)
    for height in (1.0, 5.0, 10.0):
        share = (energy > height).mean()
        mcse = np.sqrt(share * (1 - share) / energy.size)
        assert crossing(np.array([height]))[0] == pytest.approx(share / 2, abs=2.5 * mcse)


def test_known_parameters_come_from_the_model():
    unit = FAITHFUL.model_copy(update={"model": ModelSpec(means=[54, 80], sds=[6, 6])})
    rows = pd.DataFrame(
        {"parameter": "weight", "component": [1, 2], "estimate": [0.36, 0.64], "method": "em"}
    )
    found = mixture(rows, unit)
    assert found.as_rows().tolist() == [[0.36, 0.64], [54, 80], [6, 6]]


# What tells rows apart, and what is no estimate from replicates: the caption of each says why.
KEYS = {
    *("n", "separation", "weight", "sd_ratio", "component", "target", "truth", "estimate", "se"),
    *("lower", "upper", "loglik", "replicate", "certified"),  # one real data set
    *("sensitivity_low", "sensitivity_high", "specificity_low", "specificity_high"),
    *("rate_at_truth", "largest_error", "compile", "bound", "p", "p_all"),  # exact, or a maximum
}


def test_every_number_of_every_table_has_its_monte_carlo_error_and_its_r():
    for name in DESIGNS:
        for exhibit in TABLES:
            table = exhibit.make(results(name))
            numbers = [
                c for c in table if pd.api.types.is_numeric_dtype(table[c]) and c not in KEYS
            ]
            counts = {c for c in numbers if c == "R" or c.startswith("R_") or c.endswith("_R")}
            errors = {f"{c}_mcse" for c in numbers}
            bare = [
                c
                for c in numbers
                if not c.endswith("_mcse") and c not in counts and f"{c}_mcse" not in table
            ]
            assert bare == [], (exhibit.name, bare)
            assert counts or not errors - {f"{c}_mcse" for c in counts}, exhibit.name
