"""The front page's sentences say the tables' numbers."""

from study.design import Grid
from study.report.findings import findings
from study.report.glance import guide
from study.report.verdicts import verdicts
from tests.study import synthetic
from tests.study.synthetic import NAMED, design


def test_findings_say_the_tables_numbers() -> None:
    grid = Grid(name="grid", separation=[2], weight=[0.5], sd_ratio=[1], n=[1500])
    only = design(["newton"], grids=[grid])
    study = synthetic.study(only)
    made, ends = guide(study), verdicts(study)
    text = findings(only, made, ends)
    assert text.startswith(f".. design d, digest {only.digest()}")
    share = ends["certified"].sum() / ends["R"].sum()
    assert f"Newton {100 * share:.1f}%" in text
    assert '"1500","2","Newton","Newton","Wald"' in text


def test_findings_of_a_design_without_a_grid() -> None:
    study = synthetic.study(design(scenarios=[NAMED]))
    text = findings(study.design, guide(study), verdicts(study))
    assert "Over the simulated scenarios" in text
    assert "csv-table" not in text
