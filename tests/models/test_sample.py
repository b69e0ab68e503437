"""Three siblings of one base: what one has that is wrong for another, the other does not have."""

import numpy as np
import pytest

from models import Mixture, MixtureModel, compress, fit
from models.compression import Cells
from models.priors import Prior
from models.sample import CompressedData, Data, Sample, StreamedData
from tests.models.strategies import SECOND_ARTICLE

X, _ = SECOND_ARTICLE.sample(3_000, np.random.default_rng(4))
EXACT = Data(X, np.ones(X.size))
COMPRESSED = CompressedData.of(EXACT, SECOND_ARTICLE)
STREAMED = compress([X[:2_000], X[2_000:]]).exact
SAMPLES = (EXACT, COMPRESSED, STREAMED)


def test_siblings_are_no_instances_of_each_other():
    for one in SAMPLES:
        assert [isinstance(one, kind) for kind in (Data, CompressedData, StreamedData)].count(
            True
        ) == 1
        assert isinstance(one, Sample)
    with pytest.raises(TypeError, match="abstract"):
        Sample()


def test_nodes_have_negative_weights():
    assert COMPRESSED.compressed.nodes[1].min() < 0


@pytest.mark.parametrize("sample", [COMPRESSED, STREAMED], ids=["compressed", "streamed"])
@pytest.mark.parametrize("name", ["x", "counts", "quantiles", "ascending", "quartiles"])
def test_only_a_sample_in_memory_has_observations(sample, name):
    assert hasattr(EXACT, name)
    with pytest.raises(AttributeError):
        getattr(sample, name)


def test_a_prior_about_quantiles_is_not_made_of_nodes():
    with pytest.raises(AttributeError):
        Prior.asymmetric(COMPRESSED)
    assert Prior.asymmetric(COMPRESSED.exact) == Prior.asymmetric(EXACT)


@pytest.mark.parametrize("sample", SAMPLES, ids=["exact", "compressed", "streamed"])
def test_all_say_the_same_of_one_sample(sample):
    model = MixtureModel()
    assert sample.n == EXACT.n
    assert sample.mean == pytest.approx(EXACT.mean, rel=1e-12)
    assert sample.sd == pytest.approx(EXACT.sd, rel=1e-12)
    # The quartiles of a streamed sample are those of its cells' means.
    assert sample.sd_floor == pytest.approx(EXACT.sd_floor, rel=0.05)
    wanted, found = (one.moments(SECOND_ARTICLE) for one in (EXACT, sample))
    assert found.loglik == pytest.approx(wanted.loglik, abs=1e-8)
    second = sample.final.second_moments(SECOND_ARTICLE)
    assert second.loglik == pytest.approx(wanted.loglik, abs=1e-8)
    narrow = Mixture([0.5, 0.5], [0, 1], [1, 0.5 * EXACT.sd_floor])
    assert sample.collapsed(narrow, model)
    assert not sample.collapsed(SECOND_ARTICLE, model)
    assert isinstance(sample.thinned(1_000, np.random.default_rng(0)), Data)


def test_a_sample_in_one_cell_is_not_all_equal():
    sample = compress([[1.0, 2.0, 3.0]], cells=Cells.fit_for(Mixture([1], [0], [1e3]), 1e-13))
    assert sample.compressed.lowest.size == 1
    assert fit("em", sample, MixtureModel(1)).mixture.means[0] == pytest.approx(2.0)
    with pytest.raises(ValueError, match="x: all observations are 2"):
        fit("em", compress([[2.0, 2.0]], cells=sample.compressed.cells), MixtureModel(1))


@pytest.mark.parametrize("method", ["em-squarem", "lbfgs", "newton"])
def test_outliers_leave_the_others_their_digits(method):
    """Fits that end where they began, in coordinates that keep what is between the others."""
    x = np.append(np.random.default_rng(3).normal(0, 1, 60), [1e20, 1e20 + 1e5])
    start = Mixture([60 / 62, 2 / 62], [x[:60].mean(), 1e20], [1.0, 1.0])
    result = fit(method, x, MixtureModel(2, sds=[1.0, 1e5]), start=start)
    assert result.status == "ok"
    assert result.mixture.means[0] == pytest.approx(x[:60].mean(), abs=1e-6)
