"""Tables of labels on rows whose answers are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from study.report.figures import FIGURES
from study.report.remedy_tables import DIAGNOSTICS, WATCHED, answered, errors

from models.mixture import draws_by_mean
from study.compute.references import summaries
from study.design import Design, Scenario
from study.report import remedy_tables
from study.rows import DISTANCE, REMEDIES, Results

NEAR = Scenario(name="near", weights=[0.4, 0.6], means=[0, 1], sds=[1, 1], n=50)
FAR = Scenario(name="far", weights=[0.5, 0.5], means=[0, 10], sds=[1, 1], n=50)
DESIGN = Design(
    name="d",
    title="",
    seed=1,
    replicates={"em": 4, "lbfgs": 4, "nuts": 4, "nuts-ordered": 4},
    scenarios=[NEAR, FAR],
)


def results(**rows):
    frames = {
        kind: pd.DataFrame(rows.get(kind, []), columns=list(columns)).astype(columns)
        for kind, columns in SCHEMA.items()
    }
    return Results(DESIGN, **frames)


def estimates(scenario, replicate, method, mixture):
    """The rows of one fit, and the row that says it ended well."""
    key = {"scenario": scenario, "replicate": replicate, "method": method}
    target = {"near": NEAR, "far": FAR}[scenario].target().as_rows()
    rows = [
        key
        | {"parameter": parameter, "component": j + 1, "truth": target[i, j]}
        | {"estimate": mixture[i][j], "se": 0.1, "lower": 0.0, "upper": 1.0}
        for i, parameter in enumerate(("weight", "mean", "sd"))
        for j in range(2)
    ]
    fit = dict.fromkeys(SCHEMA["fits"], 0) | key | {"status": "ok", "message": ""}
    return rows, fit


def test_alignment_counts_what_sorting_labels_against_the_truth():
    """Of four data sets one has its heavy component, the second in truth, below the light one."""
    right = [[0.4, 0.6], [0.0, 1.0], [1.0, 1.0]]
    # Sorted by mean; swapping costs less: (.9 - .6)^2 + (.1 - .4)^2 + .2^2 < .5^2 + .5^2 + ...
    odd = [[0.95, 0.05], [0.45, 0.6], [1.0, 1.0]]
    found = [
        estimates("near", replicate, method, odd if replicate == 3 else right)
        for replicate in range(4)
        for method in ("em", "lbfgs")
    ]
    # The other optimiser of the fourth data set disagrees: half of its estimates are odd.
    found[-2] = estimates("near", 3, "em", right)
    rows = [row for part, _ in found for row in part]
    table = remedy_tables.alignment(results(estimates=rows, fits=[fit for _, fit in found]))
    own = table.set_index(["optimiser", "parameter", "component"]).sort_index()
    assert own.loc["L-BFGS-B", "disagreement"].tolist() == pytest.approx([0.25] * 5)
    assert own.loc["all", "disagreement"].tolist() == pytest.approx([0.125] * 5)
    assert set(own["R"]) == {4}
    first = own.loc[("L-BFGS-B", "mean", 1)]
    assert first["bias_sorted"] == pytest.approx(0.45 / 4)
    assert first["bias_assigned"] == pytest.approx(0.6 / 4)
    assert first["change"] == pytest.approx(0.15 / 4)
    assert first["change_mcse"] == pytest.approx(np.std([0, 0, 0, 0.15], ddof=1) / 2)
    weight = own.loc[("all", "weight", 1)]
    assert weight["bias_sorted"] == pytest.approx((0.95 - 0.4) / 8)
    assert weight["bias_assigned"] == pytest.approx((0.05 - 0.4) / 8)


def test_no_disagreement_where_components_are_apart():
    rows, fit = estimates("far", 0, "em", [[0.6, 0.4], [1.0, 9.0], [1.0, 2.0]])
    table = remedy_tables.alignment(results(estimates=rows, fits=[fit]))
    assert (table["disagreement"] == 0).all()
    assert (table["optimiser"].unique() == ["EM", "all"]).all()
    assert (table["change"] == 0).all()


def remedy_rows(mean_of, r=6, sd=1.0):
    """`mean_of` remedy and replicate; all parameters alike, intervals of one sd to each side."""
    return [
        {"scenario": "near", "replicate": i, "remedy": remedy, "parameter": parameter}
        | {"truth": 1.0, "mean": mean_of(remedy, i), "sd": sd, "ess": 100.0, "ess_tail": 50.0}
        | {"lower": mean_of(remedy, i) - sd, "upper": mean_of(remedy, i) + sd}
        | {"rhat": 1.02 if i == 0 else 1.0}
        for i in range(r)
        for remedy in REMEDIES
        for parameter in PARAMETERS
    ]


def test_remedies_are_held_against_truth_and_against_stephens():
    offset = {"Stephens": 0.0, "by mean": 0.5, "none": -2.0}

    def mean(remedy, replicate):
        return 1.0 + offset.get(remedy, 0.1) + 0.3 * (-1) ** replicate

    table = remedy_tables.remedies(results(remedies=remedy_rows(mean)))
    own = table[table["parameter"] == DISTANCE].set_index("remedy")
    assert own.loc["by mean", "bias"] == pytest.approx(0.5)
    assert own.loc["by mean", "bias_mcse"] == pytest.approx(0.3 * np.sqrt(1.2 / 6))
    assert own.loc["by mean", "rmse"] == pytest.approx(np.sqrt(0.5**2 + 0.3**2))
    assert own.loc["by mean", "from_stephens"] == pytest.approx(0.5)
    assert own.loc["by mean", "from_stephens_mcse"] == pytest.approx(0.0, abs=1e-12)
    assert own.loc["none", "coverage"] == 0.0
    assert own.loc["Stephens", ["coverage", "width"]].tolist() == pytest.approx([1.0, 2.0])
    assert own["unconverged"].tolist() == pytest.approx([1 / 6] * len(REMEDIES))
    assert set(own["R"]) == {6}


def test_costs_are_medians_of_the_worst_parameter():
    rows = remedy_rows(lambda remedy, i: 0.0)
    timings = [
        {"scenario": "near", "replicate": i, "remedy": remedy, "seconds": 1.0 + i}
        for i in range(6)
        for remedy in REMEDIES
    ]
    table = remedy_tables.remedy_costs(results(remedies=rows, remedy_timings=timings))
    assert list(table["remedy"]) == list(REMEDIES)
    assert table["seconds"].tolist() == pytest.approx([3.5] * len(REMEDIES))
    assert table["ess_per_second"].tolist() == pytest.approx(
        [(50 / 3 + 50 / 4) / 2] * len(REMEDIES)
    )


def test_folding_sees_chance_as_chance():
    """Means off by normal errors of their Monte Carlo variance: squares of z have mean one.

    2,400 of them in all: within 4 errors of sqrt(2/2400), false-alarm rate 6e-5.
    """
    rng = np.random.default_rng(5)
    rows = remedy_rows(lambda remedy, i: 0.0, r=400)
    for row in rows:
        row["mean"] = rng.normal(0.0, row["sd"] / np.sqrt(row["ess"]))
    table = remedy_tables.folding(results(remedies=rows))
    assert table["squared_z"].mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / 2400))
    assert list(table["R"]) == [400] * 6


def posterior(rng, chains=2, draws=500):
    """Draws (chains, draws, 3, 2) of two components apart, in the order of their means."""
    weights = rng.beta(40, 60, (chains, draws))
    means = rng.normal([0.0, 10.0], 0.5, (chains, draws, 2))
    sds = rng.gamma(100, 0.01, (chains, draws, 2))
    return np.stack([np.stack([weights, 1 - weights], axis=-1), means, sds], axis=2)


def test_errors_are_in_reference_sds_and_in_probability():
    draws = posterior(np.random.default_rng(2), 4, 20_000)
    reference = pd.DataFrame(summaries(draws))
    shift, mass = errors(draws, reference, 0.95)
    assert shift < 1e-12
    assert mass < 1e-3  # what is linear between levels
    moved = draws.copy()
    moved[:, :, 1, 0] += 0.7 * draws[:, :, 1, 0].std()
    shift, mass = errors(moved, reference, 0.95)
    assert shift == pytest.approx(0.7, rel=1e-9)
    # An interval of 1.96 sds each way, .7 sds off: .8913 of the probability.
    held = stats.norm.cdf(1.96 - 0.7) - stats.norm.cdf(-1.96 - 0.7)
    assert mass == pytest.approx(0.95 - held, abs=0.01)


def kept(replicate, method, draws):
    chain, draw, component = np.indices((*draws.shape[:2], 2)).reshape(3, -1)
    columns = {"scenario": "far", "replicate": replicate, "method": method}
    columns |= {"chain": chain, "draw": draw, "component": component + 1}
    values = np.moveaxis(draws, 2, 3).reshape(-1, 3).T
    return pd.DataFrame(columns | dict(zip(("weight", "mean", "sd"), values, strict=True)))


@pytest.fixture
def judged():
    """Four exchangeable fits: sound, chains in two labellings, off, and one without a reference."""
    rng = np.random.default_rng(4)
    sound = posterior(rng)
    reference = pd.DataFrame(summaries(posterior(rng, 4, 2000)))
    apart = np.stack([sound[0], sound[1, ..., ::-1]])
    off = sound + np.array([0.0, 1.0, 0.0])[:, None]
    fits = [("nuts", sound), ("nuts", apart), ("nuts", off), ("nuts", sound)]
    draws = pd.concat([kept(i, *fit) for i, fit in enumerate(fits)])
    draws = pd.concat([draws, kept(0, "nuts-ordered", off)])
    keys = [("far", i, "nuts") for i in range(4)] + [("far", 0, "nuts-ordered")]
    labels = pd.DataFrame(keys, columns=["scenario", "replicate", "method"])
    labels["rhat_raw"] = [1.0, 2.0, 1.0, 1.0, 1.0]
    labels["rhat_relabelled"] = [1.0, 1.0, 1.2, 1.2, 1.0]
    labels["divergences"] = [3, 0, 0, 0, 0]
    labels["bfmi"] = np.nan
    labels["verdict"] = ["mixes", "labels only", "does not mix", "mixes", "mixes"]
    references = [reference.assign(scenario="far", replicate=i) for i in range(4)]
    references[3]["rhat"] = 1.5  # not to be trusted
    study = results(draws=draws, references=pd.concat(references))
    return replace(study, labels=labels.reindex(columns=[*labels, *set(WATCHED) - set(labels)]))


def test_answers_are_wrong_where_they_are(judged):
    found = answered(judged).set_index(["replicate", "method", "answer"])["wrong"]
    assert found.to_dict() == {
        (0, "nuts", "relabelled"): False,
        (0, "nuts", "as sampled"): False,
        (1, "nuts", "relabelled"): False,
        (1, "nuts", "as sampled"): True,
        (2, "nuts", "relabelled"): True,
        (2, "nuts", "as sampled"): True,
        (0, "nuts-ordered", "relabelled"): True,
    }


def test_warnings_are_counted_against_answers(judged):
    table = remedy_tables.warnings(judged).set_index(["answer", "diagnostic"])
    columns = ["R", "wrong", "fired", "sensitivity", "specificity"]
    expected = {
        ("relabelled", "R-hat, relabelled"): [4, 2, 1, 0.5, 1.0],
        ("relabelled", "R-hat, as sampled"): [4, 2, 1, 0.0, 0.5],
        ("relabelled", "divergences"): [4, 2, 1, 0.0, 0.5],
        ("relabelled", "verdict: does not mix"): [4, 2, 1, 0.5, 1.0],
        ("relabelled", "verdict: not 'mixes'"): [4, 2, 2, 0.5, 0.5],
        ("as sampled", "R-hat, as sampled"): [3, 2, 1, 0.5, 1.0],
        ("as sampled", "verdict: not 'mixes'"): [3, 2, 2, 1.0, 1.0],
    }
    for key, values in expected.items():
        assert table.loc[key, columns].tolist() == pytest.approx(values), key
    unknown = table.loc[("relabelled", "BFMI")]
    assert unknown["R"] == 0
    assert np.isnan(unknown["sensitivity"])
    assert list(dict.fromkeys(table.index.get_level_values(1))) == list(DIAGNOSTICS)
    # Of two wrong answers none is missed: Wilson's interval says how little that is.
    never = table.loc[("as sampled", "verdict: not 'mixes'")]
    assert never["sensitivity_low"] == pytest.approx(2 / (2 + 1.959964**2))
    assert never["sensitivity_high"] == pytest.approx(1.0)


def test_the_figures_draw(judged):
    rows = remedy_rows(lambda remedy, i: 0.1 * i)
    study = replace(judged, remedies=results(remedies=rows).remedies)
    exhibits = {exhibit.name: exhibit for exhibit in FIGURES}
    for name, panels in (("remedies-bias", 3), ("warning-rates", 2)):
        figure = exhibits[name].make(study)
        assert len(figure.axes) == panels
        figure.draw_without_rendering()


def test_draws_come_back_in_their_shape():
    draws = posterior(np.random.default_rng(0), 3, 7)
    np.testing.assert_array_equal(remedy_tables._draws(kept(0, "nuts", draws)), draws)
    np.testing.assert_array_equal(draws_by_mean(draws), draws)
