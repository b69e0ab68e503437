import json

import pandas as pd

from study.design import load
from study.workflow.provenance import provenance
from study.workflow.sources import ROOT


def test_start_and_end_are_of_the_first_and_the_last_fit():
    timings = pd.DataFrame({"ended": [100.0, 7300.5, 50.0], "seconds": [1.0, 2.0, 20.0]})
    found = provenance(load("smoke"), timings)
    assert found["fits"] == {
        "started": "1970-01-01T00:00:30+00:00",
        "ended": "1970-01-01T02:01:40+00:00",
    }
    assert found["seed"] == found["design"]["seed"] == 20210703
    assert found["design"]["digest"] == load("smoke").digest()


def test_a_study_without_fits_has_neither():
    empty = pd.DataFrame({"ended": [], "seconds": []}, dtype=float)
    assert provenance(load("smoke"), empty)["fits"] == {"started": None, "ended": None}


def test_no_place_of_a_machine_is_told():
    """The smallest design of this repository's own with scripts and data files has both."""
    design = load("peers")
    assert design.data
    assert design.external
    record = provenance(design, pd.DataFrame({"ended": [], "seconds": []}, dtype=float))
    assert set(record["scripts"]) == {external.name for external in design.external}
    assert str(ROOT) not in json.dumps(record)
