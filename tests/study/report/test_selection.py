"""What criteria choose, on rows whose answers are known."""

import numpy as np
import pytest

from study.report.selection import (
    agreement,
    choice_losses,
    choices,
    evidence,
    local_choices,
    other_choices,
    real_choices,
    setting,
)
from study.report.style import CHOICE_LOOKS
from study.rows import CHOOSING, ONE_START
from tests.study.synthetic import of


def choice(criterion, ks, losses=None, scenario="birds"):
    losses = [0.1] * len(ks) if losses is None else losses
    return [
        {"scenario": scenario, "replicate": i, "criterion": criterion, "k": k, "loss": lost}
        for i, (k, lost) in enumerate(zip(ks, losses, strict=True))
    ]


ROWS = [
    *choice("bic", [2, 2, 1, None]),
    *choice("aic", [2, 3, 3, 2], [0.1, 0.2, 0.3, 0.4]),
    *choice(ONE_START, [2, 2, 2, 3], [0.3, 0.1, 0.4, 0.1]),
    *choice("cv", [1, 3, 3, 2]),
]


def test_a_choice_that_cannot_be_made_is_not_right():
    (row,) = choices(of(choices=ROWS)).to_dict("records")
    assert (row["true_K"], row["R"]) == ("2", 4)
    assert (row["bic"], row["aic"]) == (0.5, 0.5)
    assert row["bic_mcse"] == pytest.approx(0.25)
    (lost,) = choice_losses(of(choices=ROWS)).to_dict("records")
    assert lost["aic"] == pytest.approx(0.25)


def test_right_below_and_above():
    (row,) = other_choices(of(choices=ROWS)).to_dict("records")
    assert row["criterion"] == CHOOSING["cv"]
    assert [row["right"], row["below"], row["above"]] == [0.25, 0.25, 0.5]


def test_who_agrees_with_bic_and_who_is_right_where_not():
    table = agreement(of(choices=ROWS)).set_index("criterion")
    aic = table.loc["AIC"]
    assert (aic["R"], aic["R_apart"]) == (4, 3)
    assert (aic["same"], aic["fewer"], aic["more"]) == (0.25, 0.0, 0.5)
    assert (aic["right_if_apart"], aic["BIC_right_if_apart"]) == pytest.approx((1 / 3, 1 / 3))


def test_what_one_start_loses():
    (row,) = local_choices(of(choices=ROWS)).to_dict("records")
    assert (row["other_K"], row["right_best"], row["right_one"]) == (0.5, 0.5, 0.75)
    assert row["more_loss"] == pytest.approx((0.2 + 0.0 + 0.3 + 0.0) / 4)


def test_real_data_have_their_choice_marked():
    name = of().design.data[0].name
    key = {"scenario": name, "replicate": 0}
    values = [
        key | {"criterion": criterion, "k": k, "value": value, "error": error}
        for criterion, k, value, error in (
            ("bic", 1, 20.123, 0.0),
            ("bic", 2, 10.0, 0.0),
            ("cv", 1, np.nan, 0.0),
            ("cv", 2, -5.0, 1.234),
        )
    ]
    chosen = [key | {"criterion": "bic", "k": 2}, key | {"criterion": "cv", "k": 2}]
    table = real_choices(of(criteria=values, choices=chosen))
    assert table["BIC"].tolist() == ["20.12", "10.00 *"]
    assert table["cross-validation"].tolist() == ["–", "\N{MINUS SIGN}5.00 (1.23) *"]


def test_evidence_is_held_against_bridge_sampling_at_the_true_k():
    values = [
        {"scenario": "birds", "replicate": i, "criterion": criterion, "k": k, "value": value}
        | {"error": 0.1}
        for i in range(3)
        for k in (1, 2)
        for criterion, value in (("bridge", -10.0 - k), ("laplace", -11.0 - i), ("bic", 28.0))
    ]
    (row,) = evidence(of(criteria=values)).to_dict("records")
    assert row["laplace_above"] == pytest.approx(0.0)  # -11, -12, -13 against -12
    assert row["half_bic_above"] == pytest.approx(-2.0)
    assert row["bridge_error"] == pytest.approx(0.1)
    assert evidence(of(criteria=[v for v in values if v["criterion"] != "laplace"])).empty


def test_a_setting_is_a_name_without_its_n():
    assert setting("grid-d2-w0.5-r1-n500") == "grid-d2-w0.5-r1"
    assert setting("one-n100") == "one"
    assert setting("n100") == "n100"


def test_no_two_criteria_look_alike():
    drawn = [(look.color, look.line) for look in CHOICE_LOOKS.values()]
    assert len(set(drawn)) == len(drawn) == len(CHOOSING)
