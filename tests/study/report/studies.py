"""Made-up studies of every kind of design and all of their tables, made once for all tests."""

from __future__ import annotations

import functools

import pandas as pd

from study.design import Grid
from study.report.contents import tables_of
from study.rows import Results
from tests.study import synthetic
from tests.study.synthetic import FAITHFUL, KNOWN, NAMED, TAILS, design, rich

SIZES = Grid(name="grid", separation=[2, 4], weight=[0.5], sd_ratio=[1], n=[100, 500])
DESIGNS = {
    "rich": rich(),
    "no grid": design(scenarios=[NAMED, TAILS], data=[FAITHFUL]),
    "only data": design(data=[FAITHFUL]),
    "one optimiser": design(["newton"], grids=[SIZES], data=[FAITHFUL]),
    "only a sampler": design(["nuts-ordered"], scenarios=[NAMED, KNOWN], data=[FAITHFUL]),
}


@functools.cache
def results(name: str) -> Results:
    return synthetic.study(DESIGNS[name])


@functools.cache
def made(name: str) -> dict[str, pd.DataFrame]:
    own = results(name)
    return {table.name: table.make(own) for table in tables_of(own.design)}
