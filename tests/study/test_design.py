import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from models.truth import Normal, SkewNormal, StudentT
from study.design import DesignError, externals, load
from study.workflow.plan import replicates_for
from study.workflow.sources import ROOT

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


def calibration(**changes):
    prior = {"weights": 2, "means": [0, 2], "variances": [2, 1]}
    options = {"nuts": {"draws": 150, "chains": 2}}
    spec = {"replicates": 3, "n": 20, "prior": prior, "methods": ["nuts"], "options": options}
    return {**spec, **changes}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sead": 1}, "tiny.yaml: sead: unknown key"),
        (
            {"replicates": {"nuts": {"mcse": 3}}},
            "replicates.nuts: mcse: 3 is no error of a coverage",
        ),
        ({"seed": -1}, "tiny.yaml: seed: .*greater than or equal to 0 .got -1."),
        ({"replicates": {"emm": 1}}, "replicates.emm.*: unknown method 'emm'; choose from em"),
        (
            {"scenarios": scenario(sds=[1, -1])},
            r"scenarios\[0\].sds\[1\]: .* greater than 0 .got -1",
        ),
        ({"scenarios": scenario(weights=[0.5, 0.4])}, r"scenarios\[0\]: weights: sum to 0.9"),
        ({"scenarios": scenario(family="cauchy")}, r"scenarios\[0\].family: .*'normal'"),
        ({"scenarios": scenario(n=1)}, r"scenarios\[0\]: n: 1 is fewer than the 2 components"),
        (
            {"scenarios": scenario(weights=[1], means=[0], sds=[1])},
            r"scenarios\[0\]: 1 true components but model.k is 2; if so, give model.k",
        ),
        ({"scenarios": scenario(family="t")}, r"scenarios\[0\]: df: is missing; family 't' needs"),
        ({"scenarios": scenario(family="t", df=2)}, r"scenarios\[0\].df: .* equal to 2.1 .got 2"),
        ({"scenarios": scenario(df=3)}, r"\[0\]: df: is of family 't'; the family is 'normal'"),
        (
            {"scenarios": scenario(family="t", df=3, slant=1)},
            r"scenarios\[0\]: slant: is of family 'skew-normal'; the family is 't'",
        ),
        (
            {"scenarios": scenario(family="skew-normal", slant=float("inf"))},
            r"scenarios\[0\].slant: .*finite number .got inf",
        ),
        ({"scenarios": scenario(round_to=0)}, r"scenarios\[0\].round_to: .* greater than 0"),
        (
            {"scenarios": scenario(round_to=2)},
            r"scenarios\[0\]: round_to: 2 is above the sd of the observations, 1.8; give a smaller",
        ),
        ({"scenarios": scenario(model={"k": 2, "sdz": 1})}, "model.sdz: unknown key"),
        (
            {"scenarios": scenario(model={"means": [0, None, None]})},
            r"scenarios\[0\].model: means: has 3 values; the model has 2 components, one each",
        ),
        (
            {"scenarios": scenario(model={"means": [0, "free"]})},
            r"scenarios\[0\].model.means\[1\]: .*valid number .got 'free'",
        ),
        (
            {"scenarios": scenario(model={"weights": [0.7, 0.7]})},
            r"scenarios\[0\].model: weights: sum to 1.4; they must sum to 1",
        ),
        (
            {"scenarios": scenario(model={"weights": [0, None]})},
            r"scenarios\[0\].model.weights\[0\]: .*greater than 0 .got 0",
        ),
        ({"scenarios": scenario() + scenario()}, "the name 'one' is used more than once"),
        ({"scenarios": []}, "there is nothing to fit"),
        ({"options": {"em": {"speed": 1}}}, "options: em.speed: no such option of em"),
        ({"options": {"em": {"tol": "tiny"}}}, "options: em.tol: 'tiny' is not a valid value"),
        (
            {"options": {"em": {"tol": -1}}},
            "em.tol: -1 is not .*greater than or equal to 0",
        ),
        ({"options": {"em": {"trace": "yes"}}}, "options: em.trace: 'yes' is not a valid value"),
        ({"options": {"em": {"max_iter": True}}}, "options: em.max_iter: True is not a valid"),
        (
            {"options": {"nuts": {"chains": 1}}},
            "options: nuts.chains: one chain has no R-hat; give",
        ),
        (
            {"options": {"nuts": {"draws": -3}}},
            "nuts.draws: -3 is not .*or equal to 4",
        ),
        ({"options": {"nuts-ordered": {"draws": 3}}}, "nuts-ordered.draws: 3 is not a valid"),
        ({"options": {"nuts": {"tune": 0}}}, "nuts.tune: 0 is not a valid value"),
        ({"options": {"nuts": {"target_accept": 1.0}}}, "target_accept: 1.0 is not .*less than 1"),
        (
            {"calibration": calibration(options={"nuts": {"chains": 0}})},
            "calibration.options: nuts.chains: 0 is not a valid value",
        ),
        ({"name": "a" * 300}, "tiny.yaml: name: .* at most 120 characters .got 'a{59}…"),
        ({"scenarios": scenario(name="a" * 300)}, r"scenarios\[0\].name: .* at most 120 char"),
        (
            {
                "grids": [
                    {
                        "name": "g" * 110,
                        "separation": [1],
                        "weight": [0.5],
                        "sd_ratio": [1],
                        "n": [5],
                    }
                ]
            },
            r"grids\[0\]: a cell cannot be made: name: .* at most 120 characters",
        ),
        ({"name": "benchmarks"}, "name: is the folder of the benchmarks"),
        ({"seed": True}, "seed: .*valid integer .got True"),
        ({"scenarios": scenario(n="50")}, r"scenarios\[0\].n: .*valid integer .got '50'"),
        ({"scenarios": scenario(means=[0, float("nan")])}, r"means\[1\]: .*finite number .got nan"),
        ({"scenarios": scenario(separation=float("inf"))}, "separation: .*finite number .got inf"),
        (
            {"calibration": calibration(methods=["em"])},
            r"calibration.methods\[0\]: 'em' draws no posterior; choose from nuts, nuts-ordered",
        ),
        (
            {"calibration": calibration(of=301)},
            "calibration: of: 301 is more than the 150 x 2 draws of nuts",
        ),
        (
            {"calibration": calibration(prior={"weights": 2, "means": [0, 2]})},
            "calibration.prior.variances: Field required",
        ),
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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 0100\n", "bad.yaml: line 1: 0100 is of base 8 to some readers"),
        ("name: a\nscenarios:\n- {n: -010}\n", "line 3: -010 is of base 8"),
        ("seed: 1\nname: a\nseed: 1\n", "bad.yaml: seed: is given twice, in line 1 and in line 3"),
        ("a:\n  - {n: 5, n: 6}\n", "n: is given twice, in line 2 and in line 2"),
        ("a: &a {n: 5}\nb: {<<: *a, <<: *a}\n", "<<: is given twice, in line 2"),
        ("a: !!binary aGk=\n", "not YAML: a design holds no tag:yaml.org,2002:binary"),
        ("a: &a [*a]\n", "holds what no design can: Circular"),
        ("? [1, 2]\n: 3\n", "bad.yaml: "),
    ],
)
def test_what_readers_of_yaml_read_in_two_ways_is_one_line(tmp_path, text, says):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(DesignError, match=says) as caught:
        load(str(path))
    assert "\n" not in str(caught.value)


def test_texts_and_numbers_are_those_of_yaml_1_2(tmp_path):
    path = tmp_path / "tiny.yaml"
    base = "title: no\nseed: 0o17\nreplicates: {em: 3}\nscenarios:\n- &one\n"
    base += "  {name: yes, weights: [0.5, 0.5], means: [0, 1e1], sds: [1, .5], n: 0x20}\n"
    path.write_text("name: on\n" + base + "- {<<: *one, name: off, n: 50}\n")
    design = load(str(path))
    assert (design.name, design.title, design.seed) == ("on", "no", 15)
    one, two = design.scenarios
    assert (one.name, one.n, one.means, one.sds) == ("yes", 32, [0.0, 10.0], [1.0, 0.5])
    assert (two.name, two.n, two.means) == ("off", 50, one.means)
    for text, says in (
        ("1:40", "'1:40'"),
        ("1_000", "'1_000'"),
        ("yes", "'yes'"),
        ("1e2", "100.0"),
    ):
        path.write_text("name: on\n" + base.replace("0x20", text))
        with pytest.raises(DesignError, match=rf"scenarios\[0\].n: .*valid integer .got {says}"):
            load(str(path))


def test_the_digest_follows_the_content_and_not_the_chunks(tmp_path):
    one = load(write(tmp_path))
    assert load(write(tmp_path), chunk=50).digest() == one.digest()
    assert load(write(tmp_path, seed=2)).digest() != one.digest()


def test_what_a_scenario_does_not_use_is_not_in_its_content(tmp_path):
    """So that old results stay good when there is something new to choose."""
    plain = load(write(tmp_path)).scenario("one")
    assert not {"df", "slant", "round_to"} & set(plain.model_dump(mode="json"))


def test_what_a_model_knows_of_some_components_is_null_for_the_others(tmp_path):
    model = {"k": 2, "means": [0, None], "sds": [None, 2], "weights": [0.8, None]}
    path = write(tmp_path, scenarios=scenario(model=model))
    assert "means:\n    - 0\n    - null" in Path(path).read_text()
    built = load(path).scenario("one").model.build()
    np.testing.assert_array_equal(built.known, [[0.8, 1 - 0.8], [0, np.nan], [np.nan, 2]])
    assert load(path).digest() != load(write(tmp_path)).digest()
    assert "weights" not in load(write(tmp_path)).scenario("one").model.model_dump(mode="json")


def test_replicates_can_be_asked_for_by_the_error_of_a_coverage(tmp_path):
    counts = load(write(tmp_path, replicates={"em": 10, "nuts": {"mcse": 0.03}})).replicates
    assert counts == {"em": 10, "nuts": 53}
    assert (0.95 * 0.05 / 53) ** 0.5 <= 0.03 < (0.95 * 0.05 / 52) ** 0.5


def test_grid_scenarios_have_the_separation_and_sd_ratio_they_say():
    design = load("paper")
    cells = [s for g in design.grids for s in g.scenarios()]
    assert len(cells) == 4 * 2 * 2 * 3
    for cell in cells:
        truth = cell.truth().components
        rms = np.sqrt(np.mean(np.square(truth.sds)))
        assert (truth.means[1] - truth.means[0]) / rms == pytest.approx(cell.separation)
        assert truth.sds[1] / truth.sds[0] == pytest.approx(cell.sd_ratio)
        assert truth.weights[0] == pytest.approx(cell.weight)


@pytest.mark.parametrize("name", ["default", "smoke", "paper", "prior-sensitivity", "k"])
def test_the_shipped_designs_load(name):
    design = load(name)
    assert design.name == name
    assert all(unit.file.is_file() for unit in design.data)


def test_the_priors_design_has_cells_and_data_sets_of_the_default_one():
    priors, default = load("prior-sensitivity"), load("default")
    assert priors.seed == default.seed
    assert priors.priors.compared[0].name == "default"
    what = {"name", "family", "weights", "means", "sds", "n", "model"}
    for name in priors.priors.scenarios:
        one, other = (d.scenario(name).model_dump(include=what) for d in (priors, default))
        assert one == other


def test_family_and_rounding_are_those_that_are_named():
    design = load("default")
    truths = {name: design.scenario(name).truth() for name in ("birds", "t3", "skew-normal")}
    families = {name: truth.family for name, truth in truths.items()}
    assert families == {"birds": Normal(), "t3": StudentT(3), "skew-normal": SkewNormal(4)}
    assert all(truth.round_to is None for truth in truths.values())
    assert design.scenario("rounded").truth().round_to == 0.5


def test_the_paper_design_has_the_default_s_scenarios():
    paper, default = load("paper"), load("default")
    parts = {"replicates", "intervals", "choice"}

    def settings(design):
        return {unit.name: unit.model_dump(exclude=parts) for unit in design.units()}

    assert settings(default).items() <= settings(paper).items()
    for unit in default.units():
        many, few = paper.choice_of(paper.scenario(unit.name)), default.choice_of(unit)
        assert list(many) == list(few)
        assert all(count in (1, 278) for count in many.values())  # three points of a share


def test_the_paper_design_gives_coverage_at_n_100_and_500_to_less_than_two_points():
    paper = load("paper")
    enough = replicates_for(1.6, paper.level)
    for cell in (s for s in paper.all_scenarios() if re.fullmatch(r"grid-.*-n(100|500)", s.name)):
        own, intervals = paper.replicates_of(cell), paper.intervals_of(cell)
        assert min(own["newton"], own["nuts"], intervals.replicates) >= enough
        assert {"newton", "nuts"} <= set(intervals.methods)


def test_the_head_of_the_paper_design_states_the_replicates_of_each_scenario():
    """As many scenarios have a row's numbers as the row says."""
    columns = ("em", "em-squarem", "lbfgs", "map", "newton", "nelder-mead", "nuts", "nuts-ordered")
    paper, stated = load("paper"), Counter()
    row = re.compile(r"#   \S.*?  +(\d+)" + r"  +([\d,]+)" * 6)
    for line in (ROOT / "study/designs/paper.yaml").read_text(encoding="utf-8").splitlines():
        if found := row.fullmatch(line):
            cells, four, *rest = (int(number.replace(",", "")) for number in found.groups())
            stated[(four, four, four, four, *rest)] += cells
    given = Counter()
    for unit in paper.units():
        own = paper.replicates_of(unit)
        most = max(own.values())
        intervals = min(paper.intervals_of(unit).replicates, most)
        given[(*(own.get(m, 0) for m in columns), intervals)] += 1
    assert stated == given


def test_the_digest_tells_what_is_in_the_data_files_and_not_where_they_lie(tmp_path):
    def digest(folder, text):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.csv").write_text(text)
        data = [{"name": "mine", "file": "mine.csv", "column": "x"}]
        return load(write(tmp_path / folder, data=data)).digest()

    first = digest("here", "x\n1\n2\n4\n")
    assert digest("there", "x\n1\n2\n4\n") == first
    assert digest("other", "x\n1\n2\n5\n") != first


def asked(folder, **changes):
    """A design that asks a package, whose script is beside it."""
    (folder / "mine.py").write_text("def fit(x, k, equal_sds, seed, *, tol=1e-3): ...\n")
    (folder / "mine.R").write_text(
        "fit <- function(x, k, equal_sds,\n  seed, init = list(a = 1, 2), tol = 1) 3\n"
        "any <- function(x, k, equal_sds, seed, ...) 3\n"
    )
    package = {"name": "mine", "engine": "external", "script": "mine.py", "label": "Mine"}
    return write(folder, external=[package | {"replicates": 3} | changes])


def test_what_a_package_is_asked_for_is_read_from_its_script(tmp_path):
    known = load(asked(tmp_path, options={"tol": 1e-9}))
    assert known.external[0].script == tmp_path / "mine.py"
    load(asked(tmp_path, script="mine.R", options={"tol": 0.5, "init": None}))
    load(asked(tmp_path, script="mine.R", function="any", options={"whatever": 1}))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"engine": "numeric"}, r"tiny.yaml: external\[0\].engine: .*'external'"),
        ({"name": "em"}, r"external\[0\].name: is a method of this project; give another name"),
        ({"script": "mine.jl"}, r"external\[0\].script: is neither Python \(.py\) nor R \(.R\)"),
        ({"script": "no.py"}, r"external\[0\].script: there is no file no.py"),
        ({"function": "no"}, r"external\[0\].function: there is no function no in mine.py"),
        (
            {"options": {"toll": 1}},
            r"external\[0\].options: toll: no option of fit in mine.py; it has tol$",
        ),
        (
            {"script": "mine.R", "options": {"toll": 1}},
            r"external\[0\].options: toll: no option of fit in mine.R; it has init, tol$",
        ),
        ({"timeout": 0}, r"external\[0\].timeout: .*greater than 0 .got 0"),
        ({"aims": "fame"}, r"external\[0\].aims: .*'likelihood' or 'posterior'"),
        ({"scenarios": ["two"]}, "external: mine: no scenario is called 'two'"),
        ({"scenarios": ["known"]}, "external: mine: the model of 'known' has known parameters"),
    ],
)
def test_what_is_wrong_with_a_package_is_said_in_one_line(tmp_path, changes, says):
    path = asked(tmp_path, **changes)
    known = {**GOOD["scenarios"][0], "name": "known", "model": {"means": [0, 3]}}
    text = yaml.safe_load(Path(path).read_text()) | {"scenarios": [*GOOD["scenarios"], known]}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(text))
    with pytest.raises(DesignError, match=says) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_packages_are_asked_where_nothing_is_known_and_once_of_real_data(tmp_path):
    known = {**GOOD["scenarios"][0], "name": "known", "model": {"means": [0, 3]}}
    (tmp_path / "mine.csv").write_text("x\n1\n2\n3\n")
    path = asked(tmp_path)
    data = [{"name": "real", "file": "mine.csv", "column": "x"}]
    common = {**GOOD["scenarios"][0], "name": "common", "model": {"equal_sds": True}}
    changed = {"scenarios": [*GOOD["scenarios"], known, common], "data": data}
    text = yaml.safe_load(Path(path).read_text()) | changed
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(text))
    found = load(path)
    counts = {unit.name: externals(found, unit) for unit in found.units()}
    assert counts == {"one": {"mine": 3}, "known": {}, "real": {"mine": 1}, "common": {"mine": 3}}
    other = found.external[0].model_copy(update={"common_sds": False})
    found = found.model_copy(update={"external": [other]})
    assert externals(found, found.scenario("common")) == {}
    assert externals(found, found.scenario("one")) == {"mine": 3}


def test_a_design_without_packages_is_the_same_as_before_there_were_any(tmp_path):
    plain = load(write(tmp_path))
    assert "external" not in plain.model_dump(mode="json")
    with_one = load(asked(tmp_path))
    before = with_one.digest()
    assert before != plain.digest()
    (tmp_path / "mine.py").write_text("def fit(x, k, equal_sds, seed, *, tol=1e-4): ...\n")
    assert load(str(tmp_path / "tiny.yaml")).digest() != before
