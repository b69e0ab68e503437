import numpy as np
import pytest
import yaml

from study.design import DesignError, chunks, load

GOOD = {
    "name": "tiny",
    "title": "Tiny",
    "seed": 1,
    "chunk": 4,
    "replicates": {"em": 10, "lbfgs": 6, "map": 3},
    "scenarios": [
        {"name": "one", "weights": [0.5, 0.5], "means": [0, 3], "sds": [1, 1], "n": 50},
    ],
}


def write(folder, **changes):
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return str(path)


def scenario(**changes):
    return [{**GOOD["scenarios"][0], **changes}]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sead": 1}, "tiny.yaml: sead: unknown key"),
        ({"seed": -1}, "tiny.yaml: seed: .*greater than or equal to 0 .got -1."),
        ({"replicates": {"emm": 1}}, "replicates.emm.*: unknown method 'emm'; choose from em"),
        (
            {"scenarios": scenario(sds=[1, -1])},
            r"scenarios\[0\].sds\[1\]: .* greater than 0 .got -1",
        ),
        ({"scenarios": scenario(weights=[0.5, 0.4])}, r"scenarios\[0\]: weights: sum to 0.9"),
        ({"scenarios": scenario(family="cauchy")}, r"scenarios\[0\].family: .*'normal'"),
        ({"scenarios": scenario(n=1)}, r"scenarios\[0\]: n: 1 is fewer than the 2 components"),
        ({"scenarios": scenario(model={"k": 3})}, "2 true components but model.k is 3"),
        ({"scenarios": scenario(model={"k": 2, "sdz": 1})}, "model.sdz: unknown key"),
        ({"scenarios": scenario() + scenario()}, "the name 'one' is used more than once"),
        ({"scenarios": []}, "there is nothing to fit"),
        ({"options": {"em": {"speed": 1}}}, "options: em.speed: no such option of em"),
        ({"options": {"em": {"tol": "tiny"}}}, "options: em.tol: 'tiny' is not a valid value"),
        (
            {"data": [{"name": "d", "file": "no.csv", "column": "x"}]},
            r"data\[0\].file: there is no",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_path(tmp_path, changes, says):
    with pytest.raises(DesignError, match=says) as caught:
        load(write(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_designs(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("a: [1")
    with pytest.raises(DesignError, match=r"bad.yaml: not YAML"):
        load(str(path))
    path.write_text("- 1")
    with pytest.raises(DesignError, match="is list; a design is a mapping"):
        load(str(path))
    with pytest.raises(DesignError, match="no such design; give a YAML file or one of default"):
        load("nowhere")


def test_chunks_cover_each_replicate_once(tmp_path):
    design = load(write(tmp_path))
    found = [(c.engine, c.first, c.last) for c in chunks(design)]
    assert found == [("numeric", 0, 4), ("numeric", 4, 8), ("numeric", 8, 10), ("pymc", 0, 3)]


def test_the_digest_follows_the_content_and_not_the_chunks(tmp_path):
    one = load(write(tmp_path))
    assert load(write(tmp_path), chunk=50).digest() == one.digest()
    assert load(write(tmp_path, seed=2)).digest() != one.digest()


def test_a_scenarios_content_changes_with_what_its_fits_depend_on(tmp_path):
    one = load(write(tmp_path))
    other = load(write(tmp_path, options={"em": {"tol": 1e-7}}))
    assert one.content("one") == other.content("one")
    assert one.content("one", "numeric") != other.content("one", "numeric")
    assert one.content("one", "pymc") == other.content("one", "pymc")
    retitled = load(write(tmp_path, title="Else", scenarios=scenario(title="New")))
    assert one.content("one", "numeric") == retitled.content("one", "numeric")


def test_grid_scenarios_have_the_separation_and_sd_ratio_they_say():
    design = load("default")
    cells = [s for g in design.grids for s in g.scenarios()]
    assert len(cells) == 4 * 2 * 2 * 3
    for cell in cells:
        truth = cell.truth()
        rms = np.sqrt(np.mean(np.square(truth.sds)))
        assert (truth.means[1] - truth.means[0]) / rms == pytest.approx(cell.separation)
        assert truth.sds[1] / truth.sds[0] == pytest.approx(cell.sd_ratio)
        assert truth.weights[0] == pytest.approx(cell.weight)


@pytest.mark.parametrize("name", ["default", "smoke"])
def test_the_shipped_designs_load(name):
    design = load(name)
    assert design.name == name
    assert all(unit.file.is_file() for unit in design.data)
