"""What a run says: a line a job, warnings and errors; how much is done and how long it takes."""

import logging

from snakemake_interface_logger_plugins.common import LogEvent

from study.workflow.progress import Progress, attach, duration


class Clock:
    time = 0.0

    def __call__(self):
        return self.time


def record(event=None, level=logging.INFO, text="words", **of):
    made = logging.makeLogRecord({"levelno": level, "msg": text, **of})
    if event is not None:
        made.event = event
    return made


def shown(progress, made):
    found = progress.filter(made)
    return found.getMessage() if isinstance(found, logging.LogRecord) else found


def test_a_line_a_job_says_how_much_is_done_and_how_long_the_rest_takes():
    clock = Clock()
    progress = Progress(lambda rule, of: 10.0 * int(of["digest"]), lambda jobs: 40.0, clock)
    assert not shown(progress, record(LogEvent.RUN_INFO, stats={"compute": 2, "total": 2}))
    for job in (1, 3):
        of = {"jobid": job, "rule_name": "compute", "wildcards": {"digest": str(job)}}
        assert not shown(progress, record(LogEvent.JOB_INFO, **of))
    clock.time = 5.0
    assert not shown(progress, record(LogEvent.JOB_FINISHED, job_id=1))
    line = shown(progress, record(LogEvent.PROGRESS, done=1, total=2))
    assert " ".join(line.split()) == "1 of 2 compute 1 5 s 25% done, about 15 s left"
    progress.filter(record(LogEvent.JOB_FINISHED, job_id=3))
    line = shown(progress, record(LogEvent.PROGRESS, done=2, total=2))
    assert " ".join(line.split()) == "2 of 2 compute 3 5 s 100% done"


def test_warnings_and_errors_are_shown_and_words_in_between_are_not(tmp_path):
    progress = Progress(lambda rule, of: 1.0, lambda jobs: 1.0)
    assert shown(progress, record(level=logging.WARNING))
    assert shown(progress, record(LogEvent.ERROR, logging.ERROR))
    assert shown(progress, record(text="Nothing to be done (all requested files are present)."))
    assert not shown(progress, record())
    assert not shown(progress, record(LogEvent.SHELLCMD))
    log = tmp_path / "job.log"
    log.write_text("\n".join(map(str, range(100))))
    of = {"rule_name": "gather", "shellcmd": "python -m study gather", "log": [str(log)]}
    said = shown(progress, record(LogEvent.JOB_ERROR, logging.ERROR, **of)).splitlines()
    assert said[0] == "Error in rule gather:"
    assert [line.strip() for line in said[-2:]] == ["98", "99"]
    assert len(said) < 25


def test_files_of_the_log_are_left_as_they_are(tmp_path):
    logger = logging.Logger("of a test")
    logger.addHandler(logging.StreamHandler())
    logger.addHandler(logging.FileHandler(tmp_path / "log"))
    attach(Progress(lambda rule, of: 1.0, lambda jobs: 1.0), logger)
    assert [len(handler.filters) for handler in logger.handlers] == [1, 0]
    logger.handlers[1].close()


def test_durations_are_in_units_for_people():
    assert [duration(s) for s in (3.2, 240, 9000)] == ["3 s", "4 min", "2.5 h"]
