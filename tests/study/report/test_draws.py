"""Single fits whose draws are kept: which are shown, and that they are those of the rows."""

import numpy as np

from models.labels import NOT_EXCHANGEABLE
from study.report.draws import _some, examples
from study.rows import FIT
from study.simulate import data_set
from tests.study import synthetic
from tests.study.synthetic import FAITHFUL, NAMED, TAILS, changed, design, rich


def test_examples_go_from_most_switches_to_none() -> None:
    study = synthetic.study(rich())
    labels = study.labels.assign(verdict="labels only", switches=5, labellings=2)
    first = labels[(labels["method"] == "nuts") & (labels["replicate"] == 0)].index[:5]
    labels.loc[first[1], "switches"] = 9
    labels.loc[first[2:], "switches"] = 0
    labels.loc[first[0], ["switches", "verdict"]] = 0, "does not mix"  # though it comes first
    labels.loc[first[4], "labellings"] = 1
    three = labels.loc[first[3], "scenario"]
    fits = study.fits.assign(k=study.fits["k"].mask(study.fits["scenario"] == three, 3))
    found = examples(changed(study, labels=labels, fits=fits))
    rows = [labels.loc[first[place]] for place in (1, 2, 3, 4)]
    assert [fit.name for fit in found] == [row["scenario"] for row in rows]
    assert {fit.row["method"] for fit in found} == {"nuts"}
    assert {fit.means.shape for fit in found} == {(2, 20, 2)}
    assert examples(changed(study, labels=labels.assign(verdict=NOT_EXCHANGEABLE))) == []


def test_kept_draws_and_their_data_are_those_of_the_fit() -> None:
    study = synthetic.study(design(scenarios=[NAMED, TAILS], data=[FAITHFUL]))
    fit = examples(study)[0]
    own = study.draws[(study.draws[FIT] == fit.row[FIT]).all(axis=1)]
    one = own[(own["chain"] == 1) & (own["draw"] == 7)].sort_values("component")
    np.testing.assert_array_equal(fit.means[1, 7], one["mean"])
    by_place = one.sort_values("relabelled")["component"]
    np.testing.assert_array_equal(fit.labellings[1, 7], by_place)
    assert (fit.allocations[FIT].drop_duplicates().to_numpy() == fit.row[FIT].to_numpy()).all()
    x = data_set(study.design, study.design.scenario(fit.name), 0)
    np.testing.assert_array_equal(_some(study, fit)[[0, -1]], [x.min(), x.max()])
    assert set(_some(study, fit)) <= set(x)
