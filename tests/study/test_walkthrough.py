"""The two articles' steps: published numbers, and the laws that the page states."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from models import MixtureModel
from models.theory import efficiency_bound
from study.report.readers import COLUMNS, ROWS
from study.walkthrough import FIGURES, PAGE, TABLES, five_parameters, known_components, make
from study.walkthrough.r_stream import RStream


@pytest.fixture(scope="module")
def known():
    return known_components.KnownComponents.run()


@pytest.fixture(scope="module")
def sample():
    return five_parameters.Sample.run()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page and its tables, and of the figures that which the page shows."""
    folder = tmp_path_factory.mktemp("walkthrough")

    def drawn(figure: Figure, stem: Path) -> None:
        figure.savefig(stem.with_suffix(".svg"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("study.walkthrough.save", drawn)
        make(out=folder)
    return folder


def test_the_stream_is_rs():
    """Digits that R prints for set.seed(1), and for set.seed(42)."""
    np.testing.assert_allclose(
        RStream(1).uniform(3), [0.2655086631421, 0.3721238996368, 0.5728533633519], atol=5e-14
    )
    np.testing.assert_allclose(
        RStream(1).normal(4),
        [-0.626453810742332, 0.183643324222082, -0.835628612410047, 1.59528080213779],
        rtol=1e-13,
    )
    np.testing.assert_allclose(RStream(42).normal(1), [1.37095844714667], rtol=1e-13)


def test_the_articles_first_observations(known):
    printed = ["0.2415", "-0.4071", "0.01312", "2.756", "-0.4597", "1.505"]
    assert [f"{x:.4g}" for x in known.x[:6]] == printed
    assert known.x.size == 500_000


def test_all_published_rows_are_reproduced_in_every_printed_digit(known):
    table = known_components.progress(known)
    assert len(table) == 19
    for name in ("weight", "loglik", "rise"):
        assert list(table[f"{name}_reproduced"]) == list(table[f"{name}_published"])


def test_rises_shrink_by_the_squared_fraction_of_missing_information(known):
    """At the estimate the rate differs from the truth's by its standard error at most; .2600 at
    the truth, and n = 500,000 moves it by a part in 500."""
    assert known.rate**2 == pytest.approx(0.2600, abs=5e-5)
    rises = np.diff(known.logliks)
    np.testing.assert_allclose(rises[-6:] / rises[-7:-1], known.rate**2, rtol=0.004)


def test_the_weights_standard_error_is_near_its_bound(known):
    assert known.bound == pytest.approx(0.000808, abs=5e-7)
    assert known.newton.se[0, 0] == pytest.approx(known.bound, rel=0.005)
    assert known.newton.certificate.certified


def test_newton_is_at_the_estimate_after_six_steps(known):
    """Steps at the rounding error of half a million terms, which may follow, move nothing."""
    weights = known.newton.trace.parameters[:, 0, 0]
    away = np.abs(weights - known.newton.mixture.weights[0]) / known.newton.se[0, 0]
    assert away[0] > 100
    assert away[6:].max(initial=0.0) < 1e-4


def test_labels_known_are_worth_what_the_table_says():
    problem = known_components.Birds.run()
    table = known_components.birds(problem)
    bound = efficiency_bound(known_components.FLOCKS, MixtureModel(), known_components.BIRDS)
    assert table["bound_unknown"].iloc[0] == pytest.approx(bound[0, 0])
    assert (table["ratio_of_bounds"] > 1.5).all()
    # With labels the errors are the bound's within 4 Monte Carlo errors: false alarms 3e-4.
    z = (table["simulated_known"] - table["bound_known"]) / table["simulated_known_mcse"]
    assert z.abs().max() < 4
    assert problem.labelled.means[0] == pytest.approx(problem.x[problem.labels == 0].mean())


def test_the_lines_most_likely_slope_is_least_squares():
    line = five_parameters.Line.run()
    assert line.most_likely == pytest.approx(line.least_squares, abs=1e-7)
    logliks = [line.loglik(a) for a in line.slopes]
    assert line.slopes[int(np.argmax(logliks))] == 2.0


def test_the_grids_maximum_is_at_the_truth_and_the_published_one_is_plausible():
    """At least 99% of 200 samples; the published maximum inside the simulated range."""
    maxima = five_parameters.Maxima.run(200)
    assert maxima.share >= 0.99
    assert 0.005 < maxima.quantile < 0.995
    spread = maxima.logliks.std(ddof=1)
    assert abs(maxima.logliks.mean() + 14367.0) < 4 * spread / np.sqrt(200)


def test_slices_and_joint_maximum_are_apart(sample):
    table = five_parameters.maxima_of_slices(sample)
    assert (table["joint_minus_truth_in_se"].abs() < 3).all()
    assert sample.loglik(sample.estimate) > sample.loglik(five_parameters.TRUTH)
    for j, value in enumerate(table["maximum_of_slice"]):
        at = five_parameters.five(five_parameters.TRUTH)
        at[j] = value
        assert sample.loglik(five_parameters.mixture_of(at)) < sample.best.loglik


def test_the_m_step_maximises_each_part(sample):
    """To a search's accuracy: the root of rounding, 1e-8, times the parameters."""
    assert five_parameters.complete_data(sample)["difference"].abs().max() < 1e-6


def test_both_updates_of_the_sds_climb_to_the_same_place_at_the_same_rate(sample):
    runs = five_parameters.Runs.run(sample, 400)
    rounding = 2 * 8e-15 * abs(sample.best.loglik)  # of two passes
    rate = five_parameters.rate(sample)
    for values, logliks in ((runs.new, runs.new_logliks), (runs.old, runs.old_logliks)):
        assert np.diff(logliks).min() > -rounding
        np.testing.assert_allclose(np.sort(values[-1]), np.sort(runs.new[-1]), rtol=1e-9)
        steps = np.linalg.norm(np.diff(values[80:101], axis=0), axis=1)
        np.testing.assert_allclose(steps[1:] / steps[:-1], rate, rtol=2e-3)


def test_the_sd_about_the_old_mean_is_the_new_one_and_the_means_move(sample):
    start = five_parameters.article_start(sample.data, np.random.default_rng(0))
    new = five_parameters.new_mean_step(start, sample.data)
    old = five_parameters.old_mean_step(start, sample.data)
    np.testing.assert_allclose(old.means, new.means)
    np.testing.assert_allclose(old.sds**2, new.sds**2 + (new.means - start.means) ** 2, rtol=1e-12)


def test_starts_end_where_the_table_says(sample):
    many = five_parameters.all_ends(sample)
    whole, few, rounded = (dict(zip(*np.unique(e.kinds, return_counts=True))) for e in many)  # noqa: B905
    kinds = five_parameters.KINDS
    assert set(whole) == set(kinds[:2])
    assert few[kinds[4]] > 0
    assert rounded[kinds[5]] > 0
    spurious = many[1].kinds == kinds[4]
    assert many[1].logliks[spurious].min() > many[1].logliks[~spurious].max()


def test_the_page_shows_everything_and_leaves_no_name_open(page):
    text = (page / "walkthrough.md").read_text()
    names = re.findall(r"\{([a-z][a-z_0-9]{2,})\}", PAGE.read_text())
    assert len(names) > 40
    for name in names:
        assert f"{{{name}}}" not in text
    for figure in FIGURES:
        assert f"figures/{figure.name}.svg" in text
        assert (page / "figures" / f"{figure.name}.svg").stat().st_size > 1000
    for table in TABLES:
        assert table.caption in text
    words = sum(len(line.split()) for line in text.splitlines() if not line.startswith("|"))
    assert 1500 < words < 3500  # ten minutes at 250 words a minute, with captions
    html = (page / "walkthrough.html").read_text()
    assert html.count("data:image/svg+xml") == len(FIGURES)
    assert not re.search(r'src="(?!data:)|<link[^>]*href="(?!data:)|@import', html)
    assert html.count("<img ") == html.count(' alt="') == len(FIGURES)
    for wanted in ('<html lang="en">', "<title>From likelihood", 'name="viewport"', "em_step"):
        assert wanted in html
    formulas = re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$", PAGE.read_text(), re.DOTALL)
    assert html.count("<math ") == len(formulas) > 20
    assert "$" not in re.sub(r"<(script|style).*?</\1>", "", html, flags=re.DOTALL)
    assert "TOKEN" not in html
    assert html.count("<h2 id=") == len(set(re.findall(r'href="#([^"]+)"', html))) == 7
    for table in html.split("<table>")[1:]:
        own = table.split("</table>")[0]
        assert own.count("<tr>") - 1 <= ROWS
        assert own.count('<th scope="col"') <= COLUMNS


def test_the_ten_lines_are_the_compiled_step(sample):
    start = five_parameters.article_start(sample.data, np.random.default_rng(3))
    w, mu, sigma = five_parameters.em_step(*start.as_rows(), sample.data.x)
    step = five_parameters.new_mean_step(start, sample.data)
    np.testing.assert_allclose([w, mu, sigma], step.as_rows(), rtol=1e-11)
    assert inspect.getsource(five_parameters.em_step).count("\n") <= 10


def test_the_walk_needs_no_pymc():
    code = (
        "import sys, study.walkthrough; "
        "print([m for m in ('pymc', 'pytensor', 'arviz', 'nutpie') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
