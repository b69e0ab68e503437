"""The workflow's steps of the benchmarks: a suite to rows, and all rows to tables and figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from study.workflow.run import say


def benchmark(
    suite: Annotated[str, "passes, fits, peers or posterior"],
    *,
    out: Annotated[Path, "folder; a file a kind of row"],
) -> None:
    """Measure one suite of the benchmarks."""
    from study.benchmarks.measure import SUITES
    from study.workflow.provenance import environment

    if suite not in SUITES:
        raise ValueError(f"suite: unknown {suite!r}; choose from {', '.join(SUITES)}")
    rows = SUITES[suite](say)
    out.mkdir(parents=True, exist_ok=True)
    for kind, frame in rows.frames().items():
        frame.to_parquet(out / f"{kind}.parquet", index=False)
    record = json.dumps(environment(), indent=2)
    (out / "provenance.json").write_text(record + "\n", encoding="utf-8")


def exhibits(
    *,
    rows: Annotated[Path, "folder of the suites' folders"],
    out: Annotated[Path, "folder of their two folders"],
) -> None:
    """Make the benchmarks' tables and figures."""
    from study.benchmarks.scaling import BENCHMARK_FIGURES
    from study.benchmarks.tables import BENCHMARK_TABLES, read_measured
    from study.report.write import save, write

    measured = read_measured(rows)
    for name in ("tables", "figures"):
        (out / name).mkdir(parents=True, exist_ok=True)
    for table in BENCHMARK_TABLES:
        write(table.make(measured), table.caption, out / "tables" / table.name)
    for figure in BENCHMARK_FIGURES:
        save(figure.make(measured), out / "figures" / figure.name)
