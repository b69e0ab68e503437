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


def with_allocations(base=0):
    """`hand_made` with z, one allocation an observation drawn from the same truth in every draw."""
    tree, _, back = hand_made()
    z = np.random.default_rng(3).integers(0, 3, 30)
    raw = np.take_along_axis(back, np.broadcast_to(z, (2, 20, 30)), axis=-1) + base
    variables = {"z": (("person", "chain", "draw"), np.moveaxis(raw, -1, 0))}
    data = tree["posterior"].to_dataset().assign(variables)
    return xr.DataTree.from_dict({"posterior": data}), back, z + base


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("kind", [int, np.int8, float])
def test_allocations_get_the_new_numbers(base, kind):
    tree, back, z = with_allocations(base)
    tree["posterior"]["z"] = tree["posterior"]["z"].astype(kind)
    moved = labels.relabel(tree, back, ("cluster", "to"))["posterior"]["z"]
    assert moved.dims == ("person", "chain", "draw")
    assert moved.dtype == kind
    np.testing.assert_array_equal(moved, np.broadcast_to(z[:, None, None], moved.shape))


def test_what_may_be_allocations_is_asked_for():
    tree, back, _ = with_allocations()
    other = tree["posterior"].to_dataset().rename(z="group")
    with pytest.raises(ValueError, match="allocations: group looks like numbers of components"):
        labels.relabel(other, back, "cluster")
    left = labels.relabel(other, back, "cluster", allocations=[])["posterior"]
    np.testing.assert_array_equal(left["group"], other["group"])
    moved = labels.relabel(other, back, "cluster", allocations="group")["posterior"]["group"]
    expected = labels.relabel(tree, back, "cluster")["posterior"]["z"]
    np.testing.assert_array_equal(moved, expected)
    with pytest.raises(ValueError, match="allocations: no zz; there are w, mu"):
        labels.relabel(tree, back, "cluster", allocations="zz")
    with pytest.raises(ValueError, match="allocations: z holds 0 to 2; 3 components are numbered"):
        labels.relabel(tree, back, "cluster", first=1)
    counts = other.assign(group=other["group"] + 7)
    labels.relabel(counts, back, "cluster")


def test_datasets_and_relabellings_are_taken_and_dicts_and_stans_names_get_a_line():
    tree, draws, back = hand_made()
    data = tree["posterior"].to_dataset()
    found = labels.Relabelling(back, np.ones(back.shape[:2]))
    moved = labels.relabel(data, found, "cluster")
    expected = labels.relabel(tree, back, "cluster")["posterior"].to_dataset()
    assert moved["posterior"].to_dataset().identical(expected)
    taken = labels.component_draws(data, ("w", "mu", "sigma"), "cluster")
    np.testing.assert_array_equal(taken, draws)
    with pytest.raises(ValueError, match="tree: is of type dict; give an ArviZ DataTree"):
        labels.relabel({"mu": draws}, back)
    columns = {f"mu[{j}]": (("chain", "draw"), draws[:, :, 1, j]) for j in range(3)}
    stan = xr.DataTree.from_dict({"posterior": xr.Dataset(columns)})
    for ask in (lambda: labels.component_draws(stan, ["mu"]), lambda: labels.relabel(stan, back)):
        with pytest.raises(ValueError, match=r"mu\[0\] is one number of mu: read Stan's draws"):
            ask()
    with pytest.raises(ValueError, match="permutations: some are none, of 0 to 2"):
        labels.relabel(tree, np.zeros_like(back), "cluster")


def test_relabelled_draws_are_saved_and_read_again(tmp_path):
    tree, back, _ = with_allocations()
    moved = labels.relabel(tree, back, "cluster")
    moved.to_netcdf(tmp_path / "draws.nc")
    with xr.open_datatree(tmp_path / "draws.nc") as again:
        assert again["posterior"].to_dataset().identical(moved["posterior"].to_dataset())


def test_a_summary_is_arvizs_with_what_relabelling_changed():
    import arviz

    tree, back, _ = with_allocations()
    found = labels.summary(tree, back, "cluster", var_names=["w", "mu", "z", "total"])
    moved = labels.relabel(tree, back, "cluster")
    plain = arviz.summary(moved, var_names=["w", "mu", "z", "total"])
    raw = arviz.summary(tree, var_names=["w", "mu", "z", "total"])
    assert found[list(plain)].equals(plain)
    np.testing.assert_allclose(found["r_hat_sampled"], raw["r_hat"].astype(float), atol=0.006)
    share = np.mean(back != np.arange(3), axis=(0, 1))
    for j in range(3):
        assert found.loc[f"mu[{j}]", "moved"] == pytest.approx(share[j], abs=6e-4)
    assert found.loc["total", "moved"] == 0.0
    few = labels.summary(tree, back, "cluster", var_names=["w"], kind="stats")
    assert "r_hat_sampled" not in few


def test_permutations_that_are_none_are_named():
    tree, _, back = hand_made()
    with pytest.raises(ValueError, match=r"^permutations: some are none, of 0 to 2$"):
        labels.relabel(tree, np.zeros_like(back), "cluster")
