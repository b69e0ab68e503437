"""What a run says on the terminal: a line a job that ends, errors whole, and where to look.

Snakemake's own account, some ten lines a job and each input by name, goes to its log file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

ERRORS = (LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR, LogEvent.ERROR)
NOTHING = "Nothing to be done"
TAIL = 15  # lines of a failed job's log
# The share of the work that must be done before it tells how long the rest will take.
TELLING = 0.05


class Progress(logging.Filter):
    """Lets through warnings and errors, and of the rest a line for each job that has ended.

    seconds: what a job is expected to take, by its rule and wildcards. total: what all jobs to do
    are, by their numbers by rule.
    """

    def __init__(
        self,
        seconds: Callable[[str, Mapping[str, str]], float],
        total: Callable[[Mapping[str, int]], float],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._seconds, self._total, self._now = seconds, total, now
        self._jobs: dict[int, tuple[str, Mapping[str, str], float]] = {}
        self._begin, self._whole, self._work, self._ended = now(), 0.0, 0.0, ""

    def filter(self, record: logging.LogRecord) -> bool | logging.LogRecord:
        """Whether a record is shown; or what is shown in its place."""
        event = getattr(record, "event", None)
        match event:
            case LogEvent.JOB_INFO:
                of = record.__dict__
                wildcards = dict(of["wildcards"] or {})
                self._jobs[of["jobid"]] = of["rule_name"], wildcards, self._now()
            case LogEvent.RUN_INFO:
                stats = record.__dict__["stats"]
                self._whole = self._total({r: n for r, n in stats.items() if r != "total"})
            case LogEvent.JOB_FINISHED:
                self._ended = self._line(record.__dict__["job_id"])
            case LogEvent.PROGRESS:
                return _said(record, self._counted(record.__dict__))
        if event == LogEvent.JOB_ERROR:
            return _said(record, _failed(record.__dict__))
        quiet = event is not None or record.levelno < logging.WARNING
        return event in ERRORS or not quiet or record.getMessage().startswith(NOTHING)

    def _line(self, job: int) -> str:
        rule, wildcards, begun = self._jobs.get(job, ("a job", {}, self._now()))
        self._work += self._seconds(rule, wildcards)
        what = " ".join([rule, *map(str, wildcards.values())])
        return f"{what:<42} {duration(self._now() - begun):>7}"

    def _counted(self, of: Mapping[str, Any]) -> str:
        done, total = of["done"], of["total"]
        share = min(self._work / self._whole, 1.0) if self._whole else done / total
        left = ""
        if share >= TELLING and done < total:
            passed = self._now() - self._begin
            left = f", about {duration(passed * (1.0 - share) / share)} left"
        return f"{done:>4} of {total}  {self._ended}  {share:>4.0%} done{left}"


def _said(record: logging.LogRecord, text: str) -> logging.LogRecord:
    """The record with another text, of no event: Snakemake formats those by itself."""
    return logging.makeLogRecord(
        {"name": record.name, "levelno": record.levelno, "levelname": record.levelname, "msg": text}
    )


def _failed(of: Mapping[str, Any]) -> str:
    """What failed, its command, and the end of its log."""
    lines = [f"Error in rule {of['rule_name']}:", f"    {of['shellcmd']}"]
    for file in map(Path, of["log"] or ()):
        lines.append(f"    {file} ends:")
        if file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace").splitlines()
            lines += [f"        {line}" for line in text[-TAIL:]]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Such as 12 s, 4 min or 2.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def attach(progress: Progress, logger: logging.Logger) -> None:
    """Have the terminal show what a Progress lets through; files of the log go on as they are."""
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(progress)
