import numpy as np
import pytest
from matplotlib.figure import Figure

from models import labels
from tests.models.labels.test_tree import hand_made


def test_traces_show_the_draws_before_and_after():
    tree, draws, back = hand_made()
    figure = labels.plots.traces(tree, back, "cluster", names=["mu", "features[1]"])
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 4
    for ax, expected in zip(figure.axes[:2], (draws, labels.permuted(draws, back)), strict=True):
        shown = [line.get_ydata() for line in ax.lines[:3]]
        np.testing.assert_array_equal(shown, expected[:, :, 1].reshape(-1, 3).T)


def test_pairs_are_coloured_by_labelling():
    tree, draws, back = hand_made()
    figure = labels.plots.pairs(tree, back, "cluster", names=["mu"])
    assert len(figure.axes) == 3
    (points,) = figure.axes[1].collections
    np.testing.assert_array_equal(points.get_offsets(), draws[:, :, 1].reshape(-1, 3)[:, [0, 2]])
    colours = points.get_array()
    for colour in np.unique(colours):
        assert len(np.unique(back.reshape(-1, 3)[colours == colour], axis=0)) == 1
    assert len(np.unique(colours)) == len(labels.occupancy(back)[0])


def test_occupancies_are_the_shares_of_each_chain():
    found = labels.Relabelling(np.array([[[0, 1]] * 3 + [[1, 0]], [[1, 0]] * 4]), np.ones((2, 4)))
    (ax,) = labels.plots.occupancies(found).axes
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    np.testing.assert_allclose(heights, [[0.25, 1.0], [0.75, 0.0]])
    many = np.random.default_rng(0).permuted(np.tile(np.arange(4), (2, 300, 1)), axis=-1)
    (ax,) = labels.plots.occupancies(many).axes
    assert len(ax.containers) == 10
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    np.testing.assert_allclose(np.sum(heights, axis=0), 1.0)


def test_what_cannot_be_drawn_is_named():
    tree, _, back = hand_made()
    with pytest.raises(ValueError, match="names: no nu; there are w, mu, sigma"):
        labels.plots.traces(tree, back, "cluster", names=["nu"])
