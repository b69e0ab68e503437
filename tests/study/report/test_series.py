"""What figures draw as lines, where they stand, and one look for each thing."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from models import METHODS
from study.report.grid import cells, group_looks, groups
from study.report.real_data import mixture
from study.report.series import points, series, wilson_lengths
from study.report.style import (
    CHAIN_LOOKS,
    COMPONENTS,
    INTERVAL_LOOKS,
    LOOKS,
    MISS,
    ML,
    REMEDY_LOOKS,
    START_LOOKS,
    Look,
    dodge_width,
    dodged,
    labelling_looks,
    opacity,
    shade,
)
from study.rows import CHAIN_WORDS, INTERVAL_KINDS, REMEDIES, STARTS
from tests.study.synthetic import FAITHFUL, rich


def test_each_thing_has_a_look_of_its_own() -> None:
    everything: list[tuple[dict[str, Look], list[str]]] = [
        (LOOKS, list(METHODS)),
        (INTERVAL_LOOKS, list(INTERVAL_KINDS)),
        (REMEDY_LOOKS, list(REMEDIES)),
        (CHAIN_LOOKS, list(CHAIN_WORDS)),
        (group_looks(rich()), list(dict.fromkeys(groups(rich()).values()))),
        (START_LOOKS, list(STARTS)),
        ({str(i): shade(i, 4) for i in range(4)}, list("0123")),
    ]
    for looks, names in everything:
        assert set(looks) == set(names)
        assert len(set(looks.values())) == len(looks)
        # In grey print colours are gone.
        assert len({look[1:] for look in looks.values()}) == len(looks)


def test_no_colour_of_a_method_stands_for_something_else() -> None:
    """But for intervals, which have the colour of their route; maximum likelihood is black."""
    methods = {look.color for look in (*LOOKS.values(), ML)}
    others = [*REMEDY_LOOKS.values(), *CHAIN_LOOKS.values(), *group_looks(rich()).values()]
    assert methods.isdisjoint({*(look.color for look in others), *COMPONENTS, MISS})
    routes = {k: INTERVAL_LOOKS[k].color for k in ("wald", "profile", "laplace", "equal-tailed")}
    assert [*routes.values()] == [ML.color, ML.color, LOOKS["map"].color, LOOKS["nuts"].color]


def test_tones_of_an_ordered_factor_grow_lighter() -> None:
    tones = [to_rgb(shade(i, 4).color) for i in range(4)]
    assert np.all(np.diff([np.dot(tone, (0.3, 0.59, 0.11)) for tone in tones]) > 0.1)


def test_few_replicates_are_faded_and_not_joined() -> None:
    axes = Figure().subplots()
    x = np.arange(4.0)
    points(axes, x, x, np.ones((2, 4)), np.array([200, 49, 50, 20]), LOOKS["em"], "EM")
    many, few = axes.containers
    assert many[0].get_xdata().tolist() == [0, 2]
    assert few[0].get_xdata().tolist() == [1, 3]
    assert many[0].get_alpha() == 1
    assert few[0].get_alpha() < 0.5
    assert few[0].get_linestyle() == "None"


def test_a_labelling_looks_the_same_whichever_others_are_there() -> None:
    assert labelling_looks(["2 1"])["2 1"] == labelling_looks(["1 2", "2 1"])["2 1"]
    assert len(set(labelling_looks(["1 2 3"]).values())) == 6
    assert set(labelling_looks(["2 1 3 4", "1 2 3 4"])) == {"1 2 3 4", "2 1 3 4"}


def test_optimisers_are_one_line_only_if_they_agree() -> None:
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


def test_wilson_intervals_are_not_empty_where_every_interval_covers() -> None:
    table = pd.DataFrame({"coverage": [1.0, 0.5, np.nan], "R_coverage": [20, 100, 0]})
    below, above = wilson_lengths(table)
    # 20 of 20: Wilson's lower end is R/(R + z^2).
    assert below[0] == pytest.approx(1 - 20 / (20 + 1.959964**2))
    assert above[0] == pytest.approx(0.0, abs=1e-12)
    assert below[1] == pytest.approx(above[1]) == pytest.approx(0.0962, abs=1e-4)


def test_dodged_methods_keep_their_order_and_stay_nearer_than_the_next_place() -> None:
    x = np.array([1.0, 2.0, 3.0])
    places = np.stack([dodged(x, i, 5, dodge_width(x)) for i in range(5)])
    assert np.all(np.diff(places, axis=0) > 0)
    assert places.mean(axis=0) == pytest.approx(x)
    assert np.all(places[-1, :-1] < places[0, 1:])


def test_cells_are_the_grids_alone() -> None:
    found = cells(rich())
    assert len(found) == 4
    assert not found["scenario"].isin(["named", "known", "faithful"]).any()


def test_known_parameters_come_from_the_model() -> None:
    model = FAITHFUL.model.model_copy(update={"means": [54, 80], "sds": [6, 6]})
    unit = FAITHFUL.model_copy(update={"model": model})
    rows = pd.DataFrame(
        {"parameter": "weight", "component": [1, 2], "estimate": [0.36, 0.64], "method": "em"}
    )
    assert mixture(rows, unit).as_rows().tolist() == [[0.36, 0.64], [54, 80], [6, 6]]


def test_a_legend_takes_the_most_opaque_of_what_has_one_name() -> None:
    axes = Figure().subplots()
    assert opacity(axes.errorbar([1], [1], [1], alpha=0.35)) == 0.35
    assert opacity(axes.errorbar([1], [1], [1])) == 1.0
    assert opacity(axes.plot([1], [1], alpha=0.5)[0]) == 0.5
