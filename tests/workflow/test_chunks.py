"""Which jobs a study needs, and which of them an edit of the design makes anew."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.design import Design, load
from study.workflow import chunks, pieces
from study.workflow.chunks import Finished, Plan, finished, packed, plan, read_new, write_new
from study.workflow.pieces import STEPS, Chunk, Piece, Span, read_record, write_record
from study.workflow.resources import Costs

NEAR = {"name": "near", "weights": [0.5, 0.5], "means": [0, 2], "sds": [1, 1], "n": 60}
FAR = {"name": "far", "weights": [0.3, 0.7], "means": [0, 6], "sds": [1, 2], "n": 60}
PRIOR = {"weights": 2, "means": [0, 2], "variances": [2, 1]}
COMPARED = [{"name": "default", "rule": "default"}, {"name": "other", "rule": "brms"}]
BASE = {
    "name": "d",
    "title": "",
    "seed": 7,
    "chunk": 50,
    "closely": 1,
    "references": 1,
    "remedies": {"scenarios": ["near"], "replicates": 3},
    "priors": {"scenarios": ["near"], "replicates": 4, "compared": COMPARED},
    "starts": {"scenarios": ["near"], "replicates": 3},
    "replicates": {"em": 40, "newton": 60, "map": 20, "nuts": 5},
    "intervals": {"replicates": 10},
    "choice": {"criteria": {"bic": 4, "waic": 2}, "ks": [1, 2]},
    "calibration": {"replicates": 12, "n": 20, "prior": PRIOR, "methods": ["nuts"]},
    "scenarios": [NEAR, FAR],
}
FIRST = Path("results/d/chunks")


def design(**changes):
    return Design.model_validate({**BASE, **changes})


def made(new, root=FIRST):
    """Chunks as if they had been made below a folder."""
    return [Finished(root / chunk.place, chunk, {}) for chunk in new]


def cells(chunk_or_pieces, step=None):
    """(step, scenario, method, replicate) of a chunk."""
    step = step or chunk_or_pieces.step
    own = getattr(chunk_or_pieces, "pieces", chunk_or_pieces)
    return {(step, p.scenario, p.method, i) for p in own for i in range(p.first, p.last)}


def after(edited, root=FIRST, before=None):
    """What is made anew, as cells, after all of a design was made and then edited."""
    there = made(plan(before or design(), []).new, root)
    found = plan(edited, there)
    new = set().union(*(cells(chunk) for chunk in found.new))
    used = [cells(own, one.chunk.step) for one, own in found.used]
    asked = {
        (step, ask.scenario, ask.method, i)
        for step in STEPS
        for ask in STEPS[step].asks(edited)
        for i in range(ask.replicates)
    }
    # Each that is asked for is there once, made or used.
    assert sum(map(len, used)) + len(new) == len(asked)
    assert new.union(*used) == asked
    return new


# Packing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["smoke", "default", "paper", "k"])
def test_what_is_asked_for_is_packed_once_into_chunks_of_the_target(name):
    asked = load(name)
    for step in STEPS:
        spans = packed(asked, step)
        done = [(s.scenario, m, i) for own in spans for s in own for m in s.methods or ("",)
                for i in range(s.first, s.last)]  # fmt: skip
        wanted = [(a.scenario, a.method, i) for a in STEPS[step].asks(asked)
                  for i in range(a.replicates)]  # fmt: skip
        assert sorted(done) == sorted(wanted)
        costs = Costs(asked, step)
        seconds = [sum(map(costs.seconds, own)) for own in spans]
        assert all(s <= 1.25 * chunks.TARGET for s in seconds)
        assert all(a + b > chunks.TARGET for a, b in pairwise(seconds))


def test_no_span_is_longer_than_the_designs_chunk():
    lengths = [s.last - s.first for own in packed(design(), "numeric") for s in own]
    assert max(lengths) == 50
    assert all(s.last - s.first <= 7 for own in packed(design(chunk=7), "numeric") for s in own)


def test_methods_of_a_scenario_share_their_replicates():
    (own,) = packed(design(chunk=100), "numeric", 1e9)
    assert own == [Span(name, 0, r, (m,)) for name in ("near", "far")
                   for m, r in (("em", 40), ("newton", 60))]  # fmt: skip
    chunk = Chunk.of(design(), "numeric", "", own)
    assert chunk.replicates()["near"]["em"] == list(range(40))


@settings(max_examples=30)
@given(st.data())
def test_what_is_still_to_be_made_is_the_same_whatever_has_been_finished_since(data):
    """Also where another design, or a part of this one, had been finished before."""
    some = st.integers(1, 30)
    now = design(
        chunk=data.draw(st.integers(1, 40)),
        replicates={"em": data.draw(some), "newton": data.draw(some), "nuts": data.draw(some)},
    )
    earlier = design(
        scenarios=[FAR], remedies=None, priors=None, starts=None,
        replicates={"em": data.draw(some), "nuts": data.draw(some)},
    )  # fmt: skip
    there = made(plan(earlier, [], 1.0).new) if data.draw(st.booleans()) else []
    before = plan(now, there, 1.0).new
    done = data.draw(st.sets(st.sampled_from(range(len(before)))))
    later = plan(now, [*there, *made(before[i] for i in done)], 1.0)
    assert later.new == tuple(before[i] for i in range(len(before)) if i not in done)


# Edits -------------------------------------------------------------------------------------------


def test_a_finished_design_needs_nothing_more():
    assert after(design()) == set()


def test_a_criterion_makes_itself_anew_alone_and_other_k_make_all_of_them():
    more = {"criteria": {"bic": 5, "aic": 1, "waic": 2}, "ks": [1, 2]}
    assert after(design(choice=more)) == {
        ("choose", scenario, name, i)
        for scenario in ("near", "far")
        for name, i in (("bic", 4), ("aic", 0))
    }
    other = after(design(choice=BASE["choice"] | {"ks": [1, 2, 3]}))
    assert {step for step, *_ in other} == {"choose", "evidence"}
    assert len(other) == 2 * (4 + 2)


def test_more_replicates_make_new_ones_alone():
    new = after(design(replicates={**BASE["replicates"], "em": 44, "nuts": 6}))
    assert new == {
        *(("numeric", name, "em", i) for name in ("near", "far") for i in range(40, 44)),
        *(("pymc", name, "nuts", 5) for name in ("near", "far")),
        *(("barrier", name, "", 5) for name in ("near", "far")),
    }


def test_fewer_replicates_and_a_sampler_that_goes_make_nothing():
    assert after(design(replicates={"em": 3, "newton": 2, "nuts": 5})) == set()


def test_an_optimiser_that_goes_makes_what_compares_all_of_them():
    new = after(design(replicates={"newton": 60, "map": 20, "nuts": 5}))
    assert {step for step, *_ in new} == {"begin", "follow"}


def test_a_method_that_is_added_makes_its_own_fits_alone():
    new = after(design(replicates={**BASE["replicates"], "nuts-ordered": 2}))
    assert new == {("pymc", name, "nuts-ordered", i) for name in ("near", "far") for i in range(2)}


def test_a_methods_options_are_its_own():
    new = after(design(options={"map": {"max_iter": 50}}))
    assert {(step, method) for step, _, method, _ in new} == {("pymc", "map")}


def test_an_edited_scenario_is_made_anew_alone():
    new = after(design(scenarios=[NEAR, {**FAR, "n": 61}]))
    assert {scenario for _, scenario, *_ in new} == {"far"}


def test_whatever_the_data_depend_on_is_in_the_content():
    contents = {
        piece.content
        for change in (
            {},
            {"round_to": 0.5},
            {"family": "t", "df": 3},
            {"family": "t", "df": 4},
            {"family": "skew-normal", "slant": 3},
            {"family": "skew-normal", "slant": -3},
            {"n": 61},
            {"model": {"equal_sds": True}},
        )
        for piece in pieces.cut(
            design(scenarios=[{**NEAR, **change}]), "barrier", Span("near", 0, 1, ())
        )
    }
    assert len(contents) == 8


def test_titles_and_the_order_of_scenarios_make_nothing():
    titled = {**FAR, "title": "far away", "separation": 3.5}
    assert after(design(title="other", description="words", scenarios=[titled, NEAR])) == set()


def test_more_intervals_make_those_fits_alone_that_had_none():
    new = after(design(intervals={"replicates": 12}))
    assert new == {
        *(("numeric", name, "newton", i) for name in ("near", "far") for i in (10, 11)),
        *(("pymc", name, "map", i) for name in ("near", "far") for i in (10, 11)),
    }


def test_seed_and_level():
    everything = after(design(seed=8))
    assert {step for step, *_ in everything} == set(STEPS) - {"external"}  # it asks no package
    steps = {step for step, *_ in after(design(level=0.9))}
    assert steps == {"numeric", "pymc", "remedies", "priors"}


def test_a_packages_script_its_options_and_its_orders_make_its_own_answers_alone(tmp_path):
    script, other = tmp_path / "a.py", tmp_path / "b.py"
    for file in (script, other):
        file.write_text("def fit(x, k, equal_sds, seed, *, tol=1): ...\n")
    usual = {"engine": "external", "script": script, "replicates": 3, "label": "A", "name": "a"}
    second = usual | {"name": "b", "script": other, "scenarios": ["near"]}

    def asking(**changes):
        return design(external=[usual | changes, second])

    before = asking()
    answers = {("external", name, "a", i) for name in ("near", "far") for i in range(3)}
    seconds = {("external", "near", "b", i) for i in range(3)}
    assert after(before, before=design()) == answers | seconds
    for changes in ({"options": {"tol": 2}}, {"timeout": 9.0}, {"function": "fat"}):
        assert after(asking(**changes), before=before) == answers
    for words in ({"label": "B"}, {"asked": "fit"}, {"aims": "posterior"}, {"seconds": 9.0}):
        assert after(asking(**words), before=before) == set()
    first = {cell for cell in answers if cell[-1] == 0}
    assert after(asking(orders={"most": 2, "replicates": 1}), before=before) == first
    assert after(asking(scenarios=["far"]), before=before) == set()
    there = made(plan(before, []).new)
    script.write_text("def fit(x, k, equal_sds, seed, *, tol=3): ...\n")
    assert set().union(*map(cells, plan(before, there).new)) == answers


def test_the_calibration_is_its_own():
    more = {**BASE["calibration"], "replicates": 14, "methods": ["nuts", "nuts-ordered"]}
    new = after(design(calibration=more))
    assert new == {
        *((("calibrate"), pieces.PRIOR, "nuts", i) for i in (12, 13)),
        *((("calibrate"), pieces.PRIOR, "nuts-ordered", i) for i in range(14)),
    }


def test_a_prior_that_is_added_or_changed_makes_its_own_alone():
    """Whichever place it has among them; more data sets are new ones under all."""
    third = {"name": "third", "weights": 1, "means": [0, 5], "sds": ["half-normal", 1]}
    changed = {**third, "sds": ["half-normal", 2]}

    def under(*compared, replicates=4):
        return design(
            priors={**BASE["priors"], "replicates": replicates, "compared": list(compared)}
        )

    fits = {("priors", "near", "third", i) for i in range(4)}
    assert after(under(third, *COMPARED)) == fits
    assert after(under(*COMPARED, changed), before=under(*COMPARED, third)) == fits
    assert after(under(*COMPARED[::-1])) == set()
    more = {("priors", "near", name, 4) for name in ("default", "other")}
    assert after(under(*COMPARED, replicates=5)) == more


def test_another_design_of_the_same_seed_takes_over_what_it_shares():
    other = design(
        name="other",
        scenarios=[FAR, {**NEAR, "name": "third"}],
        remedies=None,
        priors=None,
        starts=None,
    )
    assert {scenario for _, scenario, *_ in after(other)} == {"third"}


def test_the_designs_own_chunks_come_before_another_ones():
    own, other = (
        made(plan(design(), []).new),
        made(plan(design(), []).new, Path("results/e/chunks")),
    )
    assert {one.folder for one, _ in plan(design(), [*own, *other]).used} == {o.folder for o in own}


def test_edited_sources_make_their_step_anew(monkeypatch):
    there = made(plan(design(), []).new)
    digest = pieces.Step.digest
    edited = STEPS["follow"].sources()
    monkeypatch.setattr(
        pieces.Step, "digest", lambda s: "edited" if s.sources() == edited else digest(s)
    )
    assert {chunk.step for chunk in plan(design(), there).new} == {"follow"}


def test_data_are_their_contents(tmp_path):
    text = (
        "name: d\ntitle: ''\nseed: 1\nreplicates: {em: 1}\n"
        "data: [{name: mine, file: mine.csv, column: x}]\n"
    )
    found = []
    for folder, rows in (("a", "1\n2\n4\n"), ("b", "1\n2\n4\n"), ("c", "1\n2\n5\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "d.yaml").write_text(text)
        (tmp_path / folder / "mine.csv").write_text(f"x\n{rows}")
        new = plan(load(str(tmp_path / folder / "d.yaml")), []).new
        found.append({chunk.step: chunk.digest for chunk in new}["numeric"])
    assert found[0] == found[1] != found[2]


# Words and records -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["smoke", "default"])
def test_a_chunk_is_the_same_from_its_words(name):
    asked = load(name)
    for chunk in plan(asked, []).new:
        spans = [Span.of(str(span)) for span in chunk.spans()]
        again = Chunk.of(asked, chunk.step, chunk.sources, spans)
        assert again.digest == chunk.digest
        assert again.replicates() == chunk.replicates()


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("near", "is no piece"),
        ("near:3", "is no piece"),
        ("near:3-3:em", "there is no replicate from 3 to before 3"),
        ("near:0-41:em", "d does not ask numeric for it"),
        ("near:0-1:map", "d does not ask numeric for it"),
        ("nowhere:0-1:em", "d does not ask numeric for it"),
    ],
)
def test_words_that_are_no_pieces_of_the_design(word, says):
    with pytest.raises(ValueError, match=says):
        Chunk.of(design(), "numeric", "", [Span.of(word)])


CHUNK = Chunk("follow", "abc", (Piece("near", "", 0, 2, "def"),))


def recorded(root, name="d"):
    folder = root / name / "chunks" / CHUNK.place
    folder.mkdir(parents=True)
    write_record(folder, CHUNK, {"stops.parquet": "0"}, {})
    return folder


def test_records_are_found_and_those_of_the_design_come_first(tmp_path):
    folders = [recorded(tmp_path, name) for name in ("a", "d", "e")]
    assert finished(tmp_path, "d") == [
        Finished(folders[i], CHUNK, {"stops.parquet": "0"}) for i in (1, 0, 2)
    ]


@pytest.mark.parametrize("damage", [
    lambda record: record.write_text(record.read_text()[:40]),
    lambda record: record.write_text("[]"),
    lambda record: record.write_text(record.read_text().replace("abc", "abd")),
    lambda record: record.write_text(json.dumps({**json.loads(record.read_text()), "pieces": [1]})),
    lambda record: record.rename(record.with_name(".record.json.77")),
])  # fmt: skip
def test_a_folder_without_its_whole_record_does_not_count(tmp_path, damage):
    damage(recorded(tmp_path) / "record.json")
    assert finished(tmp_path, "d") == []


def test_a_record_is_read_as_it_was_written(tmp_path):
    assert read_record(recorded(tmp_path) / "record.json") == (CHUNK, {"stops.parquet": "0"})


def test_what_a_run_makes_is_kept_for_its_jobs_elsewhere(tmp_path):
    new = plan(design(), []).new
    write_new(new, tmp_path / "chunks" / "new.json")
    again = read_new(design(), tmp_path / "chunks" / "new.json")
    assert [chunk.digest for chunk in again] == [chunk.digest for chunk in new]
    # An edit under the run is none of its chunks.
    edited = read_new(design(seed=8), tmp_path / "chunks" / "new.json")
    assert not {chunk.digest for chunk in edited} & {chunk.digest for chunk in new}


def test_an_empty_plan_has_nothing():
    assert plan(design(), made(plan(design(), []).new)).new == Plan((), ()).new
