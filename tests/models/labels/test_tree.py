import numpy as np
import pytest
import xarray as xr

from models import labels
from tests.models.labels.draws import draws_near, separated, shuffled


def hand_made(seed=0, k=3):
    """A tree with names and dimensions of its own, the draws behind it, and the way back."""
    rng = np.random.default_rng(seed)
    draws, back = shuffled(draws_near(separated(k), rng), rng)
    by_cluster = ("chain", "draw", "cluster")
    transitions = draws[:, :, 0, :, None] + 10.0 * draws[:, :, 0, None, :]
    posterior = xr.Dataset(
        {
            "w": (by_cluster, draws[:, :, 0]),
            "mu": (("cluster", "chain", "draw"), np.moveaxis(draws[:, :, 1], -1, 0)),
            "sigma": (by_cluster, draws[:, :, 2]),
            "features": ((*by_cluster, "j"), np.stack([draws[:, :, 0], draws[:, :, 1]], axis=-1)),
            "transitions": ((*by_cluster, "to"), transitions),
            "total": (("chain", "draw"), draws[:, :, 1].sum(axis=-1)),
            "prior_mean": (("cluster",), np.zeros(k)),
        }
    )
    tree = xr.DataTree.from_dict({"posterior": posterior, "other": posterior[["w"]]})
    return tree, draws, back


def test_every_component_wise_variable_moves_by_the_same_permutation():
    tree, draws, back = hand_made()
    dims = ("cluster", "to")
    np.testing.assert_array_equal(
        labels.component_draws(tree, ("w", "mu", "sigma"), "cluster"), draws
    )
    x, _ = separated(3).sample(100, np.random.default_rng(1))
    found = labels.stephens(draws, x)
    np.testing.assert_array_equal(found.permutations, back)
    moved = labels.relabel(tree, found.permutations, dims)
    ordered = found.apply(draws)
    assert np.all(np.diff(ordered[:, :, 1]) > 0)
    posterior = moved["posterior"].to_dataset()
    assert posterior["mu"].dims == ("cluster", "chain", "draw")
    np.testing.assert_array_equal(
        labels.component_draws(moved, ("w", "mu", "sigma"), "cluster"), ordered
    )
    np.testing.assert_array_equal(posterior["features"].values[..., 1], ordered[:, :, 1])
    np.testing.assert_array_equal(
        posterior["transitions"].values,
        ordered[:, :, 0, :, None] + 10.0 * ordered[:, :, 0, None, :],
    )
    for same in ("total", "prior_mean"):
        assert posterior[same].identical(tree["posterior"][same])
    assert moved["other"].to_dataset().identical(tree["other"].to_dataset())
    np.testing.assert_array_equal(tree["posterior"]["w"].values, draws[:, :, 0])  # as it was


def test_a_parameter_that_all_components_share_is_repeated():
    tree, draws, _ = hand_made()
    shared = tree["posterior"].to_dataset().assign(sd=(("chain", "draw"), np.ones((2, 20))))
    tree = xr.DataTree.from_dict({"posterior": shared})
    found = labels.component_draws(tree, ("w", "mu", "sd"), "cluster")
    np.testing.assert_array_equal(found[:, :, :2], draws[:, :, :2])
    np.testing.assert_array_equal(found[:, :, 2], np.ones((2, 20, 3)))


def test_component_dimensions_may_differ_from_variable_to_variable():
    """As ArviZ and NumPyro name them where nobody does."""
    tree, draws, back = hand_made()
    own = {
        name: (("chain", "draw", f"{name}_dim_0"), draws[:, :, i]) for i, name in enumerate("abc")
    }
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(own)})
    dims = [f"{name}_dim_0" for name in "abc"]
    np.testing.assert_array_equal(labels.component_draws(tree, "abc", dims), draws)
    moved = labels.relabel(tree, back, dims)
    np.testing.assert_array_equal(
        labels.component_draws(moved, "abc", dims), labels.permuted(draws, back)
    )


def test_what_is_wrong_is_named():
    tree, _, back = hand_made()
    with pytest.raises(ValueError, match="names: no weights, means, sds in posterior"):
        labels.component_draws(tree)
    with pytest.raises(ValueError, match="names: features has dimensions"):
        labels.component_draws(tree, ("w", "mu", "features"), "cluster")
    with pytest.raises(ValueError, match="dims: 'component' give"):
        labels.component_draws(tree, ("w", "mu", "sigma"))
    with pytest.raises(ValueError, match="group: no 'prior' in the tree"):
        labels.relabel(tree, back, group="prior")
    with pytest.raises(ValueError, match="dims: no variable of posterior has 'component'"):
        labels.relabel(tree, back)
    with pytest.raises(ValueError, match=r"permutations: have shape \(2, 20, 2\)"):
        labels.relabel(tree, back[..., :2], "cluster")


def test_permutations_that_are_none_are_named():
    tree, _, back = hand_made()
    with pytest.raises(ValueError, match=r"^permutations: some are no permutations of 0 to 2"):
        labels.relabel(tree, np.zeros_like(back), "cluster")
