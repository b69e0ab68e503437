"""What a user's arrays are like must not make Numba compile anew, in the seconds of the fit."""

import copy
import pickle

import numpy as np
import pytest

from models import Mixture, MixtureModel, compress, fit, kernels, labels
from models.compression import Compressed
from models.model import MixtureModel as Model
from models.priors import LogInverseGamma
from models.sample import CompressedData, Data, cells_for

TWO = Mixture([0.4, 0.6], [0.0, 5.0], [1.0, 1.5])
X, _ = TWO.sample(300, np.random.default_rng(2))
COUNTS = np.ones(X.size)
DRAWS = TWO.as_rows() + 1e-3 * np.random.default_rng(0).random((2, 8, 3, 2))
DRAWS[:, :, 0] /= DRAWS[:, :, 0].sum(axis=-1, keepdims=True)


def read_only(values):
    values = np.array(values)
    values.setflags(write=False)
    return values


def everything(kind, number, start):
    """All that is compiled, on arrays of one kind and numbers of one kind."""
    x, counts, draws = kind(X), kind(COUNTS), kind(DRAWS)
    model, bounded = MixtureModel(2), {"max_iter": number(50)}
    for method in ("em", "em-squarem"):
        fit(method, x, model, counts=counts, start=start, tol=number(1), **bounded)
        fit(method, x, model, start=start, penalty=number(1), **bounded)
    fit("em", x, MixtureModel(2, means=kind([0.0, 5.0]), sds=kind([1.0, 1.5])), min_gain=number(1))
    for method in ("lbfgs", "newton"):
        fit(method, x, start=start, **bounded)
        fit(method, x, start=start, compress=True, **bounded)
    Compressed.of(x, counts, cells=cells_for(start)).error_bound(start)
    fit("newton", compress(iter([x, x])), start=start)
    Model(2).unpack(kind(Model(2).pack(start)))
    LogInverseGamma(number(1), number(2)).terms(kind([1.0, 2.0]))
    for one in (draws, draws[:1, :1]):
        labels.relabel_by_all(one, x, counts)
    labels.judge(draws, x, counts)
    Data(x, counts).moments(start)
    CompressedData.of(Data(x, counts), start).second_moments(start)


def signatures():
    return {
        name: len(f.signatures)
        for name, f in vars(kernels).items()
        if hasattr(f, "signatures") and hasattr(f, "py_func")
    }


@pytest.fixture(scope="module")
def compiled():
    everything(np.array, float_or_int, TWO)
    return signatures()


def float_or_int(value):
    return value if value == 50 else float(value)


@pytest.mark.parametrize(
    ("kind", "number", "start"),
    [
        (read_only, float_or_int, TWO),
        (np.array, int, TWO),
        (np.array, np.int32, TWO),
        (lambda v: np.asarray(v, dtype=np.float64)[..., ::-1][..., ::-1], int, TWO),
        (np.array, float_or_int, pickle.loads(pickle.dumps(TWO))),
        (np.array, float_or_int, copy.deepcopy(TWO)),
    ],
    ids=["read-only", "whole numbers", "NumPy's", "views", "unpickled", "copied"],
)
def test_nothing_is_compiled_anew(compiled, kind, number, start):
    everything(kind, number, start)
    assert signatures() == compiled


def test_copies_stay_read_only():
    model, found = MixtureModel(2, [0.0, 5.0], [1.0, 1.5]), fit("newton", X)
    for one in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert not one.means.flags.writeable
        assert not one.selection.flags.writeable
    for one in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert one.mixture == found.mixture
        assert not one.mixture.means.flags.writeable
        np.testing.assert_array_equal(one.interval(0.9), found.interval(0.9))
        assert one.evaluations == found.evaluations
        with pytest.raises(TypeError):
            one.evaluations["moments"] = 3
