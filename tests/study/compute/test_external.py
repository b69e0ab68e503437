"""Other packages: their answers arrive as they are, and what breaks costs rows, never the chunk."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models import Mixture, MixtureModel, fit
from study.compute import external
from study.compute.external import Broken, Evidence, answer, judge_all, read, summit
from study.design import Design, load
from study.report.external import with_verdict
from study.rows import Rows, frames, of_frames
from study.simulate import data_set
from tests.study.synthetic import row

SCRIPTS = Path(__file__).parent / "packages"
PACKAGES = external.PACKAGES
NEAR = {"name": "near", "weights": [0.4, 0.6], "means": [0, 4], "sds": [1, 1], "n": 100}
MODEL = MixtureModel()
needs_r = pytest.mark.skipif(shutil.which("Rscript") is None, reason="Rscript is not installed")


def has_r(package: str) -> bool:
    if shutil.which("Rscript") is None:
        return False
    asked = ["Rscript", "-e", f"quit(status = !requireNamespace('{package}', quietly = TRUE))"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def design(*external: dict[str, Any], **parts: Any) -> Design:
    usual = {"engine": "external", "script": SCRIPTS / "fake.py", "label": "x", "replicates": 3}
    asked = [usual | {"name": f"p{i}"} | one for i, one in enumerate(external)]
    return Design.model_validate(
        {"name": "d", "title": "", "seed": 1, "replicates": {}, "scenarios": [NEAR]}
        | {"external": asked}
        | parts
    )


def rows_of(design: Design, replicates: int = 3, scenario: str = "near") -> dict[str, pd.DataFrame]:
    methods = {one.name: range(replicates) for one in design.external}
    with external.processes():
        made: Rows = judge_all(design, design.scenario(scenario), methods)
    return frames(made)


@pytest.fixture
def asking() -> Iterator[Any]:
    """(script, function, options) -> an answer on x, from a process that ends with the test."""
    with external.processes():

        def asked(script: str, function: str, x: np.ndarray, seed: int = 1, **options: Any) -> Any:
            spec = {"script": SCRIPTS / script, "function": function, "options": options}
            one = design(spec | {"name": f"{function}-{script.lower()}"}).external[0]
            return external._process(one).ask(one, x, MODEL, seed)

        yield asked


X = np.array([-1.0, 0.1, 0.25, 1 / 3, 2e-9, 5.5])


@pytest.mark.parametrize("script", ["fake.py", pytest.param("fake.R", marks=needs_r)])
def test_an_answer_arrives_as_it_was_given(asking: Any, script: str) -> None:
    found = asking(script, "moments", X, shift=1e-3)
    sd = np.sqrt(X.var() / 2)
    expected = [[0.5, 0.5], [X.mean() + 1e-3 + sd, X.mean() + 1e-3 - sd], [sd, sd]]
    np.testing.assert_allclose(found.mixture.as_rows(), expected, rtol=1e-14)
    assert found.start_seconds > 0
    assert found.seconds >= 0
    if script == "fake.py":
        assert (found.loglik, found.stop, found.iterations) == (-12.5, 0.5, 7)
        assert found.converged is True
        assert found.message == "two lines = one"
        assert found.version == f"numpy {np.__version__}"
        np.testing.assert_array_equal(found.se, [[1, 2], [3, 4], [5, 6]])
    else:
        assert (found.iterations, found.converged, found.message) == (6, False, "two")
        assert found.version.startswith("stats ")
        assert ", R " in found.version
        np.testing.assert_array_equal(found.se, [[1, 2], [10, 20], [100, 200]])
        with_options = asking(script, "moments", X, flag=True, name="a=b c")
        assert with_options.loglik == found.loglik  # the same seed
        assert asking(script, "moments", X, seed=2).loglik != found.loglik


def test_a_package_is_given_the_data_the_seed_and_k_to_the_last_digit(asking: Any) -> None:
    x = np.array([np.pi, np.nextafter(1.0, 2.0), -np.e])
    found = asking("fake.py", "echo", x, seed=2**31 - 2)
    assert (found.mixture.means[0], found.mixture.sds[0]) == (x[0], x[1])
    assert (found.loglik, found.iterations, found.converged) == (2**31 - 2, 2, None)
    np.testing.assert_array_equal(found.mixture.weights, [1.0, 0.0])  # it dropped one


@pytest.mark.parametrize("script", ["fake.py", pytest.param("fake.R", marks=needs_r)])
def test_draws_arrive_in_their_places(asking: Any, script: str) -> None:
    found = asking(script, "draws", X)
    assert found.draws.shape == (2, 300, 3, 2)
    centre = np.array([[0.5, 0.5], [2.0, 0.0], [1.0, 1.0]])
    assert np.abs(found.draws - centre).max() < 0.1  # ten sds
    assert found.divergences == 3


def test_what_breaks_costs_rows_with_the_reason_and_no_others() -> None:
    """One hangs on some data sets, and is asked the others all the same."""
    first = [data_set(design({}), design({}).scenario("near"), r).mean() > 2.4 for r in range(3)]
    assert 0 < sum(first) < 3
    functions = ("moments", "raises", "quits", "nothing", "infinite", "half")
    broken = design(
        *({"function": f} for f in functions),
        {"function": "hangs", "timeout": 3.0},
        {"script": SCRIPTS / "absent.py"},
    )
    made = rows_of(broken)
    fits = made["external"].set_index(["method", "replicate"])
    assert len(fits) == 3 * 8
    messages = {
        "p1": "ValueError: no luck",
        "p2": "its process ended with code 3 before it answered: it said nothing",
        "p3": "it gave [0, 0, 0] weights, means and sds for K = 2",
        "p4": "its estimates are not finite",
        "p5": "its process ended with code 0 before it answered: it said nothing",
        "p7": "ModuleNotFoundError: No module named 'no_such_package'",
    }
    for method, message in messages.items():
        assert set(fits.loc[method, "status"]) == {"failed"}, method
        assert set(fits.loc[method, "message"]) == {message}
    assert set(fits.loc["p0", "status"]) == {"ok"}
    late = fits.loc["p6"]
    assert list(late["status"] == "failed") == first
    assert set(late.loc[first, "message"]) == {"no answer within 3 s"}
    answered = set(made["external_estimates"].groupby("method").size().index)
    assert answered == {"p0", "p6"}


def test_half_a_file_is_no_answer(tmp_path: Path) -> None:
    whole = "weights=0.5,0.5\nmeans=0.0,1.0\nsds=1.0,1.0\nend\n"
    file = tmp_path / "answer"
    for length in range(len(whole)):
        file.write_text(whole[:length])
        with pytest.raises(Broken, match="breaks off"):
            read(file)
    file.write_text(whole)
    assert answer(read(file), MODEL, 0.0, "").mixture == Mixture([0.5, 0.5], [0, 1], [1, 1])
    with pytest.raises(Broken, match="left no answer"):
        read(tmp_path / "other")
    file.write_text("weights=0.5,x\nmeans=0,1\nsds=1,1\nend\n")
    with pytest.raises(Broken, match=r"weights: '0\.5,x' are no numbers"):
        answer(read(file), MODEL, 0.0, "")
    file.write_text("weights=0.5,0.6\nmeans=0,1\nsds=1,1\nend\n")
    with pytest.raises(Broken, match="are no mixture's"):
        answer(read(file), MODEL, 0.0, "")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("draws=2,10,3", "draws: are 12 numbers"),
        ("draws=2,x,3,1", "draws: '2,x,3,1' are no numbers"),
        ("weights=1\nmeans=0\nsds=1\nse=1,2", "se: are 2 numbers, not 3 x 1"),
        ("error=", "an error without a message"),
        ("weights=1\nmeans=0\nsds=0", "are no mixture's"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(tmp_path: Path, lines: str, says: str) -> None:
    file = tmp_path / "answer"
    file.write_text(f"{lines}\nend\n")
    np.arange(12.0).tofile(f"{file}.draws")
    with pytest.raises(Broken, match=says):
        answer(read(file), MODEL, 0.0, "")


def test_counts_that_are_none_are_0() -> None:
    found = {"weights": "1", "means": "0", "sds": "1", "iterations": "inf", "divergences": "1e300"}
    made = answer(found, MODEL, 0.0, "")
    assert (made.iterations, made.divergences) == (0, 0)


def test_evidence_of_an_estimate_is_that_of_a_fit_there() -> None:
    x = data_set(design({}), design({}).scenario("near"), 0)
    newton = fit("newton", x, MODEL)
    assert newton.mixture is not None
    assert newton.certificate is not None
    for shift, scale in ((0.0, 1.0), (1e6, 1.0), (0.0, 1e-200)):
        moved = Mixture(
            newton.mixture.weights, scale * newton.mixture.means + shift, scale * newton.mixture.sds
        )
        found = Evidence.of(scale * x + shift, MODEL, moved)
        expected = newton.loglik - x.size * np.log(scale)
        # A shift costs the data and the means digits.
        assert found.loglik == pytest.approx(expected, rel=1e-12 if shift == 0.0 else 1e-9)
        assert found.certificate.certified
        assert found.believable
        assert not found.collapsed
        factors = np.array([1.0, scale, scale])[:, None]
        np.testing.assert_allclose(found.se, factors * np.asarray(newton.se), rtol=1e-6)


def test_the_summit_of_an_early_end_is_the_maximum_that_em_goes_to() -> None:
    x = data_set(design({}), design({}).scenario("near"), 0)
    early = fit("em", x, MODEL, max_iter=3, compress=False)
    late = fit("newton", x, MODEL)
    assert early.mixture is not None
    assert late.loglik > early.loglik + 1e-6
    top = summit(x, MODEL, early.mixture)
    assert top is not None
    assert top.loglik == pytest.approx(late.loglik, abs=1e-9)


def test_a_package_is_ready_before_it_is_asked_and_gone_after_the_job() -> None:
    one, absent = design({"function": "moments"}, {"script": SCRIPTS / "absent.py"}).external
    with external.processes():
        assert external.make_ready(absent) == 0.0
        used = external.make_ready(one)
        assert used > 0.0
        process = external._process(one)
        process.ask(one, X, MODEL, 1)
        assert external.make_ready(one) >= used
    assert process.cpu() == 0.0
    assert not process.folder.exists()


def test_functions_of_one_script_share_a_process_and_keep_their_options() -> None:
    one, shifted, none = design(
        {"function": "moments"},
        {"name": "shifted", "function": "moments", "options": {"shift": 0.5}},
        {"name": "none", "function": "moments"},
    ).external
    none = none.model_copy(update={"function": "absent"})
    with external.processes():
        answers = [external._process(e).ask(e, X, MODEL, 1) for e in (one, shifted, one)]
        with pytest.raises(Broken, match="absent"):
            external._process(none).ask(none, X, MODEL, 1)
        assert len(external._PROCESSES) == 1
    means = [answer.mixture.means for answer in answers]
    np.testing.assert_allclose(means[1], means[0] + 0.5)
    assert np.array_equal(means[2], means[0])


def test_components_in_another_order_change_no_row() -> None:
    """Nor intervals: a sampler's too, whose first component has the larger mean here."""
    asked = design({"function": "moments"}, {"function": "draws"})
    made = rows_of(asked, 1)
    for _, own in made["external_estimates"].groupby(["method", "kind"]):
        means = own[own["parameter"] == "mean"].sort_values("component")["estimate"]
        assert means.is_monotonic_increasing
    se = made["external_estimates"].query("method == 'p0' and kind == 'own'")["se"]
    assert list(se) == [2, 1, 4, 3, 6, 5]
    chains = made["external_chains"].iloc[0]
    assert (chains["verdict"], chains["switches"], chains["draws"]) == ("mixes", 0, 600)
    fits = made["external"].set_index("method")
    assert not fits.loc["p1", "word"]  # three of 600 draws divergent
    assert fits.loc["p1", "status"] == "not-converged"


def test_numbers_of_components_are_asked_for_where_they_are_to_be_tried() -> None:
    asked = design({"function": "moments", "orders": {"most": 3, "replicates": 2}})
    rows = rows_of(asked, 3)["external_orders"]
    assert list(rows["replicate"]) == [0, 0, 0, 1, 1, 1]
    assert list(rows["k"]) == [1, 2, 3] * 2
    assert list(rows["free"]) == [2, 5, 8] * 2
    x = data_set(asked, asked.scenario("near"), 0)
    single = -0.5 * x.size * (np.log(2 * np.pi * x.var()) + 1)  # at its maximum
    assert (rows["loglik"] <= rows["top"] + 1e-9).all()
    assert rows.loc[0, "loglik"] < single


def judged(design: Design, made: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return with_verdict(of_frames(design, made)).set_index("method")


@pytest.mark.workflow
def test_mclust_is_at_another_local_maximum_of_the_galaxies() -> None:
    """Roeder's data, K = 3, free sds: 8.9 nats behind the best maximum (MASS's observation 78)."""
    if not has_r("mclust"):
        pytest.skip("R has no mclust")
    peers = load("peers")
    galaxies = [unit for unit in peers.data if unit.name == "galaxies"]
    asked = [one for one in peers.external if one.name == "mclust"]
    alone = peers.model_copy(
        update={"data": galaxies, "external": asked, "scenarios": [], "grids": []}
    )
    made = rows_of(alone, 1, "galaxies")
    x = data_set(alone, galaxies[0], 0)
    best = fit("newton", x, MixtureModel(3), starts=10)
    ours = row("fits", "galaxies", 0, "newton", loglik=best.loglik)
    found = judged(alone, made | frames({"fits": [ours]})).loc["mclust"]
    assert best.loglik == pytest.approx(-203.17923, abs=1e-5)
    assert found["verdict"] == "other local maximum"
    assert found["behind"] == pytest.approx(8.90, abs=0.01)
    assert found["word"]


@pytest.mark.workflow
def test_scikit_learns_default_ends_early_where_its_users_say_so() -> None:
    """The second article's setting; and its estimates are those of a call by hand.

    From k-means EM is in its last linear phase, and what is left is about what the stop predicts;
    from random responsibilities, components that coincide, it is far from it.
    """
    mixture = pytest.importorskip("sklearn.mixture")
    peers = load("peers")
    one = peers.external_of("gaussian-mixture")
    random = one.model_copy(update={"name": "random", "options": {"init_params": "random"}})
    alone = peers.model_copy(update={"external": [one, random]})
    made = rows_of(alone, 2, "article-2")
    found = judged(alone, made)
    unit = alone.scenario("article-2")
    for replicate, (_, found_row) in enumerate(found.loc["gaussian-mixture"].iterrows()):
        x = data_set(alone, unit, replicate)
        rng = external.generator(alone.seed, "article-2", replicate, "gaussian-mixture")
        by_hand = mixture.GaussianMixture(2, random_state=int(rng.integers(2**31 - 1)))
        by_hand.fit(x[:, None])
        assert found_row["n_iter"] == by_hand.n_iter_
        assert found_row["own_loglik"] == by_hand.score(x[:, None]) * x.size
        assert found_row["loglik"] == pytest.approx(found_row["own_loglik"], abs=1e-7)
        chosen = f"method == 'gaussian-mixture' and kind == 'end' and replicate == {replicate}"
        estimates = made["external_estimates"].query(chosen)
        order = np.argsort(by_hand.means_[:, 0])
        means = estimates[estimates["parameter"] == "mean"]["estimate"]
        np.testing.assert_array_equal(means, by_hand.means_[order, 0])
        assert found_row["word"]
        assert found_row["verdict"] == "stopped early"
    for method, least, most in (("gaussian-mixture", 0.5, 1.2), ("random", 10.0, 30.0)):
        for _, found_row in found.loc[method].iterrows():
            squared = found_row["rate"] ** 2
            predicted = found_row["stop"] * squared / (1 - squared)
            assert 15 < predicted < 27  # 5 nats at a rate of .898
            assert least * predicted < 0.5 * found_row["early"] ** 2 < most * predicted
            assert found_row["early"] > 5.0


BY_HAND = """
arguments <- commandArgs(trailingOnly = TRUE)
x <- scan(arguments[1], quiet = TRUE)
set.seed(as.integer(arguments[2]))
invisible(capture.output(suppressMessages({ {call} })))
cat("\\n", sprintf("%.17g", c(w, m, s, l)))
"""
CALLS = {
    "mclust": """
        library(mclust); f <- Mclust(x, G = 2, modelNames = "V", verbose = FALSE)
        p <- f$parameters; w <- p$pro; m <- p$mean; s <- sqrt(p$variance$sigmasq); l <- f$loglik
    """,
    "mixtools": """
        library(mixtools); f <- normalmixEM(x, k = 2)
        w <- f$lambda; m <- f$mu; s <- f$sigma; l <- f$loglik
    """,
    "flexmix": """
        library(flexmix); f <- flexmix(x ~ 1, k = 2, model = FLXMCnorm1())
        w <- prior(f); m <- parameters(f)["mean", ]; s <- parameters(f)["sd", ]; l <- logLik(f)
    """,
}


@pytest.mark.workflow
@pytest.mark.parametrize("package", CALLS)
def test_answers_in_r_are_those_of_a_call_by_hand(package: str, tmp_path: Path) -> None:
    if not has_r(package):
        pytest.skip(f"R has no {package}")
    asked = load("peers").external_of(package)
    x = np.random.default_rng(8).normal([0.0, 3.5, 3.5], [1.0, 1.0, 1.5], (60, 3)).ravel()
    np.savetxt(tmp_path / "x", x, fmt="%.17g")
    (tmp_path / "by-hand.R").write_text(BY_HAND.replace("{call}", CALLS[package]))
    command = ["Rscript", "--vanilla", "by-hand.R", "x", "12345"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    by_hand = [float(word) for word in done.stdout.split("\n")[-1].split()]
    with external.processes():
        found = external._process(asked).ask(asked, x, MODEL, 12345)
    assert [*found.mixture.as_rows().ravel(), found.loglik] == pytest.approx(by_hand, rel=1e-15)
