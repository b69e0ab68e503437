"""Laws of Newton's step: LAPACK's solution, and none where the information is not definite."""

import numpy as np
import pytest

from models.inference.newton import newton_step


@pytest.mark.parametrize("p", [1, 2, 5, 14])
def test_the_step_solves_and_its_decrement_is_that_of_the_gain(p):
    """Errors: a backward stable solution is within p eps times the condition number."""
    rng = np.random.default_rng(p)
    root = rng.standard_normal((p, p)) * 10.0 ** rng.uniform(-3, 3, p)
    information, score = root.T @ root + np.diag(np.diag(root.T @ root)), rng.standard_normal(p)
    found = newton_step(score, information)
    assert found is not None
    expected = np.linalg.solve(information, score)
    scale = 1.0 / np.sqrt(np.diag(information))
    condition = np.linalg.cond(information * np.outer(scale, scale))
    room = 20 * p * np.finfo(float).eps * condition
    assert np.linalg.norm((found[0] - expected) / scale) <= room * np.linalg.norm(expected / scale)
    assert found[1] ** 2 == pytest.approx(score @ expected, rel=room)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_there_is_none_where_the_information_is_not_definite(value):
    assert newton_step(np.ones(2), np.diag([1.0, value])) is None
    assert newton_step(np.ones(2), np.array([[1.0, 2.0], [2.0, 4.0]])) is None


def test_of_no_parameter_the_step_is_empty():
    found = newton_step(np.zeros(0), np.zeros((0, 0)))
    assert found is not None
    assert found[0].size == 0
    assert found[1] == 0.0
