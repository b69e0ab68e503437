"""A tiny study is published and made again: what is the same is said to be, the rest is named."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from models import likelihood
from study.design import load
from study.report.index import read_table
from study.rows import frame
from study.workflow import publish as publishing
from study.workflow import reproduce as reproducing
from study.workflow.agreement import DIFFERENT, IDENTICAL, MONTE_CARLO, ROUNDING, compare, critical
from study.workflow.chunks import plan
from study.workflow.gather import gather
from study.workflow.job import compute
from study.workflow.provenance import write_provenance
from study.workflow.publish import COMPARED, damaged, publish, size
from study.workflow.reproduce import drawn, reproduce
from study.workflow.sources import ROOT
from tests.workflow.tiny import DESIGN

SMALL = {k: DESIGN[k] for k in ("name", "title", "seed", "scenarios")} | {
    "intervals": {"methods": ["newton"], "replicates": 1},
    "replicates": {"em": 4, "lbfgs": 3, "newton": 3},
    "choice": {"ks": [1, 2], "criteria": {"bic": 2}},
}
ALL = {"scenarios": 2, "replicates": 4}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study of two scenarios, with a table and a figure, in results/; and its design."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    design, results = load(str(folder / "small.yaml")), folder / "results"
    out = results / design.name
    for chunk in plan(design, []).new:
        compute(design, chunk.step, *map(str, chunk.spans()), out=out / "chunks" / chunk.place)
    gather(design, results=results, out=out / "rows")
    write_provenance(design, rows=out / "rows", out=out / "provenance.json")
    for name in ("tables", "figures", "paper/tables"):
        (out / name).mkdir(parents=True)
    (out / "tables/guide.csv").write_text("n,separation\n1,2\n")
    (out / "tables/long.csv").write_text("a,b\n" + "1,2\n" * 100_000)
    (out / "tables/long.md").write_text("| a |\n" * 100_000)
    (out / "paper/tables/guide-alone.tex").write_text("x")
    (out / "figures/densities.pdf").write_text("x")
    path = '<path d="M 1.234567 2.2" transform="scale(0.015625)"/>'
    (out / "figures/densities.svg").write_text(path)
    (out / "figures/bias.svg").write_text("empty: this design has no grid")
    for name in ("tables", "figures"):
        (out / name / "found.json").write_text("{}")
    texts = PngInfo()
    texts.add_text("Source", "a digest")
    Image.new("RGBA", (9, 9), "red").save(out / "figures/densities.png", pnginfo=texts)
    publish(design, results=results, replicates=3)
    return design, results


@pytest.fixture
def published(made, tmp_path):
    """The design, and a copy of what is published, to be damaged."""
    design, results = made
    shutil.copytree(results / "published", tmp_path / "published")
    return design, tmp_path / "published"


@pytest.fixture
def elsewhere(monkeypatch):
    """As if another version of a package had made what is published."""
    here = reproducing.environment()
    here["packages"] = here["packages"] | {"scipy": "0"}
    monkeypatch.setattr(reproducing, "environment", lambda: here)


def edit(folder, kind, column, by, row=0):
    """One published number, changed by hand; its row."""
    file = folder / "tiny" / "rows" / f"{kind}.parquet"
    rows = pd.read_parquet(file)
    rows.loc[row, column] += by
    rows.to_parquet(file, index=False)
    return rows.loc[row]


def test_what_is_published_is_what_readers_open_and_no_more(made):
    design, results = made
    folder, out = results / "published" / "tiny", results / "tiny"
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    rows = {f"rows/{kind}.parquet" for kind in COMPARED}
    figures = {"figures/densities.svg", "figures/densities.png"}
    others = {"tables/guide.csv", "tables/long.csv.gz", "tables/found.json", *figures}
    others |= {"figures/found.json", "findings.md", "index.html"}
    assert names == rows | others | {"provenance.json", "README.md", "SHA256SUMS"}
    page = (folder / "index.html").read_text()
    assert "data:image" not in page  # its figures lie beside it
    linked = set(re.findall(r'(?:href|src)="([^"#:]+)"', page))
    assert {"tables/guide.csv", "findings.md", "rows/", "provenance.json"} <= linked
    assert [name for name in linked if not (folder / name).exists()] == []
    assert "the rows by job" in page
    assert pd.read_csv(folder / "tables/long.csv.gz", comment="#").shape == (100_000, 2)
    revision = json.loads((folder / "provenance.json").read_text())["git"]["revision"]
    source = f"# {design.stamp()}, revision {revision[:12]}\n"
    assert (folder / "tables/guide.csv").read_text() == f"{source}n,separation\n1,2\n"
    assert read_table(folder / "tables/guide.csv").equals(read_table(out / "tables/guide.csv"))
    assert read_table(folder / "tables/long.csv").equals(read_table(out / "tables/long.csv"))
    assert Image.open(folder / "figures/densities.png").text == {"Source": "a digest"}
    assert (
        '"M 1.23 2.2" transform="scale(0.015625)"' in (folder / "figures/densities.svg").read_text()
    )
    fits = pd.read_parquet(folder / "rows/fits.parquet")
    assert len(fits) == 2 * 3 * 3
    assert fits["replicate"].max() == 2
    text = (folder / "README.md").read_text()
    assert "MIT licence" in text
    assert design.stamp() in text
    assert damaged(folder) == []


def test_publishing_again_gives_the_same_bytes(made):
    design, results = made
    sums = (results / "published/tiny/SHA256SUMS").read_text()
    publish(design, results=results, replicates=3)
    assert (results / "published/tiny/SHA256SUMS").read_text() == sums


def test_no_more_is_published_than_may_be(made, monkeypatch):
    design, results = made
    before = size(results / "published")
    monkeypatch.setattr(publishing, "MOST", before - 1)
    with pytest.raises(ValueError, match=r"would have .* MB and may have .* the largest files"):
        publish(design, results=results, replicates=3)
    assert size(results / "published") == before


def test_another_design_is_not_published_as_this_one(made):
    design, results = made
    with pytest.raises(ValueError, match="was made from digest"):
        publish(design.model_copy(update={"seed": 8}), results=results)


def test_provenance_says_what_made_it_and_not_where(made):
    record = json.loads((made[1] / "tiny/provenance.json").read_text())
    assert record["machine"].keys() == {
        *("system", "processor", "compiled_for", "instructions", "cores")
    }
    assert record["sources"].keys() >= {"numeric", "pymc"}


def test_what_is_made_again_is_identical(published, capsys):
    design, folder = published
    assert reproduce(design, published=folder, **ALL) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].endswith(" identical.")
    assert "different." not in out
    assert "DIFFERENT" not in out
    assert "seconds" not in out


def test_another_draw_is_another_part_and_the_same_seed_the_same(made):
    design, results = made
    folder = results / "published/tiny/rows"
    rows = {kind: pd.read_parquet(folder / f"{kind}.parquet") for kind in COMPARED}
    record = {"design": {"digest": design.digest()}}
    parts = [str(drawn(design, record, rows, seed, 1, 1)) for seed in (1, 1, 2, 3, 4)]
    assert parts[0] == parts[1]
    assert len(set(parts)) > 1


def test_numbers_changed_by_hand_are_named(published, capsys):
    design, folder = published
    changed = [
        ("fits", "n_iter", 1),
        ("estimates", "estimate", 1e-15),
        ("losses", "hellinger", 1e-12),
        ("criteria", "value", 1e-11),
    ]
    rows = [edit(folder, *change) for change in changed]
    assert reproduce(design, published=folder, **ALL) == 1
    out = capsys.readouterr().out
    named = [line for line in out.splitlines() if line.startswith("DIFFERENT ")]
    assert "edited since it was published, by its sums: rows/criteria.parquet, " in out
    assert len(named) == len(changed)
    for (kind, column, _), row in zip(changed, rows, strict=True):
        by = row["criterion" if kind == "criteria" else "method"]
        key = f"DIFFERENT {kind} {row['scenario']} {row['replicate']} {by}"
        assert any(line.startswith(key) and f" {column}: " in line for line in named), key


def test_a_table_changed_by_hand_is_named(published, capsys):
    design, folder = published
    (folder / "tiny/tables/guide.csv").write_text("a,b\n1,3\n")
    assert reproduce(design, published=folder, scenarios=1, replicates=1) == 1
    assert "by its sums: tables/guide.csv" in capsys.readouterr().out


@pytest.mark.usefixtures("elsewhere")
def test_between_machines_rounding_is_told_from_more(published, capsys):
    design, folder = published
    edit(folder, "fits", "loglik", 1e-12, row=0)
    edit(folder, "estimates", "estimate", 1e-12, row=0)
    edit(folder, "fits", "n_iter", 1, row=0)
    assert reproduce(design, published=folder, **ALL) == 1  # for its sums
    out = capsys.readouterr().out
    assert "scipy: 0 here" in out
    assert "DIFFERENT fits" not in out
    assert "DIFFERENT estimates" not in out
    edit(folder, "estimates", "estimate", 1e-5, row=7)
    assert reproduce(design, published=folder, **ALL) == 1
    assert "DIFFERENT estimates" in capsys.readouterr().out


@pytest.mark.usefixtures("elsewhere")
def test_a_constant_of_the_kernels_off_by_a_millionth_is_named(published, capsys, monkeypatch):
    """As half of log 2 pi would be: what a pass gives is too much by a millionth an observation."""
    design, folder = published
    passes = likelihood._pass
    monkeypatch.setattr(
        likelihood, "_pass", lambda mixture, x, *rest: passes(mixture, x, *rest) + 1e-6 * x.size
    )
    assert reproduce(design, published=folder, scenarios=1, replicates=1) == 1
    out = capsys.readouterr().out
    assert "loglik: " in out


def test_another_seed_of_the_design_is_refused(published):
    design, folder = published
    with pytest.raises(ValueError, match="other is seed: 8 now, 7 there"):
        reproduce(design.model_copy(update={"seed": 8}), published=folder)


def test_what_is_not_published_is_refused(published, tmp_path):
    with pytest.raises(ValueError, match="nothing is published there; tiny is"):
        reproduce(load("smoke"), published=published[1])
    with pytest.raises(ValueError, match="--replicates: 0 is nothing"):
        reproduce(published[0], published=published[1], replicates=0)


@pytest.mark.workflow
def test_snakemake_reproduces_by_the_same_command(made, published):
    design, folder = made[0], published[1]
    (folder.parent / "results").mkdir()
    shutil.move(folder, folder.parent / "results")
    shutil.copy(made[1].parent / "small.yaml", folder.parent)

    def snakemake():
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2",
             "--config", "design=small.yaml", "draw=3", "--", "reproduce"],
            cwd=folder.parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    code, out, err = snakemake()
    assert code == 0, err
    assert "Drawn by seed 3" in out
    assert " identical." in out
    assert not (folder.parent / "results" / design.name / "rows").exists()
    edit(folder.parent / "results" / "published", "fits", "loglik", 1e-3)
    assert snakemake()[0] == 1


# Chains ------------------------------------------------------------------------------------------

ESS, SE = 900.0, 0.3


def chains(rng, fits, off=0.0):
    """Rows of so many NUTS fits whose posterior means are right up to their Monte Carlo errors."""
    keys = [{"scenario": "near", "replicate": i, "method": "nuts"} for i in range(fits)]
    means = off + rng.normal(0.0, SE / np.sqrt(ESS), fits)
    ends = {"lower": -1.96 * SE, "upper": 1.96 * SE, "se": SE, "truth": 0.0}
    ends |= {"parameter": "mean", "component": 1}
    good = {f"rhat_{w}": 1.0 for w in ("relabelled", "invariant")}
    good |= {f"{e}_{w}": ESS for e in ("ess", "ess_tail") for w in ("relabelled", "invariant")}
    rows = {
        "fits": [k | {"n": 60.0, "k": 2, "status": "ok", "believable": True, "loglik": 0.0}
                 for k in keys],
        "estimates": [k | ends | {"estimate": m} for k, m in zip(keys, means, strict=True)],
        "labels": [k | good | {"convention": False, "message": ""} for k in keys],
    }  # fmt: skip
    counts = dict.fromkeys(
        ("n_iter", "moments", "second_moments", "gradients", "start_passes", "nodes",
         "exact_passes", "switches", "labellings", "divergences", "draws"), 0)  # fmt: skip
    for kind in ("fits", "labels"):
        rows[kind] = [counts | row for row in rows[kind]]
    return {kind: frame(kind, rows.get(kind, [])) for kind in COMPARED}


def words(published, again):
    found = compare(published, again, same=False)
    return found.loc[(found["kind"] == "estimates") & (found["column"] == "estimate"), "word"]


def test_chains_of_one_posterior_agree_within_their_monte_carlo_error():
    """A false alarm has probability .001 over all of them, and the seed is fixed."""
    rng = np.random.default_rng(1)
    assert set(words(chains(rng, 200), chains(rng, 200))) == {MONTE_CARLO}


def test_chains_of_another_posterior_are_different():
    rng = np.random.default_rng(2)
    off = 12.0 * SE / np.sqrt(ESS)  # 8.5 errors of a difference; critical are 4.6
    assert set(words(chains(rng, 200), chains(rng, 200, off))) == {DIFFERENT}


def test_the_critical_number_of_errors_keeps_the_false_alarms():
    """By Bonferroni: 2 P(Z > c) m is .001."""
    assert critical(1) == pytest.approx(3.2905, abs=1e-4)
    assert critical(1000) > critical(100) > critical(1)


@pytest.mark.parametrize(("column", "value"), [("rhat_relabelled", 1.2), ("convention", True)])
def test_chains_without_an_end_or_components_are_not_held(column, value):
    rng = np.random.default_rng(3)
    ours, theirs = chains(rng, 5), chains(rng, 5, off=1.0)
    theirs["labels"][column] = value
    assert set(words(ours, theirs)) == {"not held"}


def test_a_row_that_is_missing_is_different():
    rng = np.random.default_rng(4)
    ours = chains(rng, 3)
    theirs = ours | {"estimates": ours["estimates"].iloc[1:]}
    found = compare(ours, theirs, same=False)
    assert found.loc[found["word"] != IDENTICAL, "column"].tolist() == ["row"]
    assert ROUNDING not in set(found["word"])


def test_the_rule_depends_on_what_is_made_again():
    """It names the steps itself, for what publishes is slow to load."""
    rule = (ROOT / "study/workflow/rules/reproduce.smk").read_text()
    assert str(publishing.STEPS_AGAIN).replace("'", '"') in rule


def test_what_the_repository_publishes_is_whole_and_small():
    folder = ROOT / "results" / "published"
    assert size(folder) <= publishing.MOST
    for record in folder.glob("*/provenance.json"):
        assert damaged(record.parent) == [], record


@pytest.mark.parametrize(("parameter", "expected"), [("sd", ROUNDING), ("mean", DIFFERENT)])
def test_an_end_on_the_scale_of_the_logarithm_moves_further(parameter, expected):
    """By end/estimate: here 14 times as far as the estimate's standard error would let it."""
    ours = chains(np.random.default_rng(5), 1)
    for kind in ("fits", "estimates"):
        ours[kind]["method"] = "lbfgs"
    ours["fits"]["distance"] = 1e-7
    ours["labels"] = ours["labels"].iloc[:0]
    own = {"parameter": parameter, "estimate": 0.05, "se": 0.066, "lower": 0.003, "upper": 0.72}
    ours["estimates"] = ours["estimates"].assign(**own)
    theirs = ours | {"estimates": ours["estimates"].assign(upper=0.72 + 2e-6)}
    found = compare(ours, theirs, same=False)
    assert found.loc[found["column"] == "upper", "word"].tolist() == [expected]


def test_where_both_collapse_no_number_is_held():
    ours = chains(np.random.default_rng(6), 1)
    for kind in ("fits", "estimates"):
        ours[kind]["method"] = "em"
    ours["labels"] = ours["labels"].iloc[:0]
    theirs = ours | {"fits": ours["fits"].assign(status="singular", loglik=90.0)}
    assert (compare(ours, theirs, same=False)["word"] == DIFFERENT).any()
    ours = ours | {"fits": ours["fits"].assign(status="singular", loglik=80.0)}
    found = compare(ours, theirs, same=False)
    assert found.loc[found["column"] == "loglik", "word"].tolist() == ["not held"]
    assert DIFFERENT not in set(found["word"])


# Criteria, priors, packages ----------------------------------------------------------------------


def told(published, again, kind, column):
    """The words on a column."""
    found = compare(published, again, same=False)
    return set(found.loc[(found["kind"] == kind) & (found["column"] == column), "word"])


@pytest.mark.parametrize(
    ("criterion", "error", "off", "word"),
    [
        ("bic", np.nan, 1e-8, ROUNDING),
        ("bic", np.nan, 1e-5, DIFFERENT),
        ("icl", np.nan, 1e-5, ROUNDING),
        ("bridge", 0.1, 0.3, MONTE_CARLO),
        ("bridge", 0.1, 1.0, DIFFERENT),
        ("laplace", np.nan, 1.0, "not held"),
    ],
)
def test_criteria_are_held_by_what_they_are_made_of(criterion, error, off, word):
    row = {"scenario": "near", "replicate": 0, "criterion": criterion, "k": 2, "error": error}
    ours = {"criteria": frame("criteria", [row | {"value": 400.0, "message": ""}])}
    theirs = {"criteria": frame("criteria", [row | {"value": 400.0 + off, "message": ""}])}
    assert told(ours, theirs, "criteria", "value") == {word}


@pytest.mark.parametrize(("off", "word"), [(0.04, MONTE_CARLO), (0.2, DIFFERENT)])
def test_posteriors_under_other_priors_are_held_by_their_errors(off, word):
    """Errors of the means are .3/30: 2.8 and 14 of the difference's, and 3.7 is critical of 4."""
    key = {"scenario": "near", "replicate": 0, "prior": "brms"}
    good = {"rhat": 1.0, "ess": ESS, "ess_tail": ESS, "status": "ok", "convention": False}
    own = {"parameter": "mean 1", "truth": 0.0, "sd": SE, "lower": -0.6, "upper": 0.6}
    made = [
        {
            "priors": frame("priors", [key | own | {"mean": mean, "message": ""}]),
            "prior_fits": frame("prior_fits", [key | good | {"message": ""}]),
        }
        for mean in (0.0, off)
    ]
    assert told(*made, "priors", "mean") == {word}


def answers(version="1.0", n_iter=7, status="ok", off=0.0):
    """Rows of a package's fit."""
    key = {"scenario": "near", "replicate": 0, "method": "mclust"}
    fit = {"n": 60.0, "k": 2, "status": status, "n_iter": n_iter, "stop": 1e-5, "believable": True}
    own = {"kind": "end", "parameter": "mean", "component": 1, "truth": 0.0, "se": SE}
    ends = {"estimate": off, "lower": -0.6, "upper": 0.6}
    estimates = [key | own | ends] if version else []
    return {
        "external": frame("external", [key | fit | {"version": version, "message": ""}]),
        "external_estimates": frame("external_estimates", estimates),
    }


@pytest.mark.parametrize(
    ("again", "word"),
    [
        (answers(off=1e-8), ROUNDING),
        (answers(off=1e-3), DIFFERENT),
        # A step of EM more is worth sqrt(2e-5) standard errors.
        (answers(off=1e-3, n_iter=8), ROUNDING),
        (answers(off=1e-1, n_iter=8), DIFFERENT),
        (answers(off=1e-1, version="2.0"), "not held"),
    ],
)
def test_other_packages_are_held_by_their_own_stop(again, word):
    assert told(answers(), again, "external_estimates", "estimate") == {word}


def test_a_package_that_is_not_here_is_not_held_and_one_that_fails_is_different():
    absent = answers(version="", status="failed")
    assert told(answers(), absent, "external_estimates", "row") == {"not held"}
    assert told(answers(), absent, "external", "status") == {"not held"}
    both = {k: pd.concat([v, v.assign(replicate=1)]) for k, v in answers().items()}
    failed = {k: pd.concat([v, absent[k].assign(replicate=1)]) for k, v in answers().items()}
    assert told(both, failed, "external_estimates", "row") == {DIFFERENT}
