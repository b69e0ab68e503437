"""What is timed, how often and in which order, by a clock that goes when the tasks say so."""

import gc
from collections.abc import Callable

import numpy as np
import pytest

from study.benchmarks import timing
from study.benchmarks.timing import Task, interleaved, slope, summary


class Clock:
    """Stands still but for what tasks take; reading it takes a nanosecond."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 1e-9
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


class Spy:
    """Notes in a shared list that it was called."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self.calls = name, calls

    def __call__(self) -> int:
        self.calls.append(self.name)
        return len(self.calls)


def takes(clock: Clock, seconds: float, calls: list[float] | None = None) -> Callable[[], None]:
    def run() -> None:
        clock.now += seconds
        if calls is not None:
            calls.append(seconds)

    return run


def test_each_task_is_warmed_up_and_then_runs_once_a_round_in_changing_order() -> None:
    calls: list[str] = []
    names = ("a", "b", "c", "d")
    timed = interleaved({name: Task(Spy(name, calls)) for name in names}, 6, least=0.0)
    rounds = [tuple(calls[4 * i : 4 * i + 4]) for i in range(7)]
    assert rounds[0] == names
    assert all(set(order) == set(names) for order in rounds)
    assert len(set(rounds[1:])) > 1
    shapes = {name: seconds.shape for name, seconds in timed.seconds.items()}
    assert shapes == dict.fromkeys(names, (6,))
    # What a task gave stands with its time: the place at which it was called.
    assert sorted(r for found in timed.results.values() for r in found) == list(range(5, 29))


def test_the_order_is_the_seeds() -> None:
    def order(seed: int) -> list[str]:
        calls: list[str] = []
        interleaved({name: Task(Spy(name, calls)) for name in "abcd"}, 5, seed=seed, least=0.0)
        return calls

    assert order(1) == order(1)
    assert order(1) != order(2)


@pytest.mark.parametrize("seconds", [1e-7, 1e-3, 0.019])
def test_a_quick_task_is_looped_and_its_time_is_of_one_call(clock: Clock, seconds: float) -> None:
    """The clock's own nanosecond apart; and no more calls than the least time needs, by half."""
    calls: list[float] = []
    least = 0.02
    timed = interleaved({"quick": Task(takes(clock, seconds, calls))}, 3, least=least)
    np.testing.assert_allclose(timed.seconds["quick"], seconds, atol=2e-9)
    once = 1.5 * least / seconds + 2
    assert 3 * least / seconds < len(calls) < 2 + 4 * once


def test_a_slow_task_is_called_once_a_round(clock: Clock) -> None:
    calls: list[float] = []
    timed = interleaved({"slow": Task(takes(clock, 0.5, calls))}, 3)
    np.testing.assert_allclose(timed.seconds["slow"], 0.5, atol=2e-9)
    assert len(calls) == 1 + 3


def test_a_task_of_its_own_warm_up_and_fewer_rounds() -> None:
    calls: list[str] = []
    warmed: list[str] = []
    tasks = {
        "slow": Task(Spy("slow", calls), lambda: warmed.append("slow"), repeats=1),
        "fast": Task(Spy("fast", calls)),
    }
    timed = interleaved(tasks, 3, least=0.0)
    assert warmed == ["slow"]
    assert calls.count("slow") == timed.seconds["slow"].size == 1
    assert timed.seconds["fast"].size == 3


def test_the_collector_is_off_while_the_clock_runs_and_on_again_afterwards() -> None:
    seen: list[bool] = []
    look = Task(lambda: seen.append(gc.isenabled()), lambda: None)
    interleaved({"look": look}, 1, least=0.0)
    assert set(seen) == {False}
    assert gc.isenabled()

    def fails() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError):
        interleaved({"fails": Task(fails, lambda: None)}, 1)
    assert gc.isenabled()


def test_summary_leaves_out_what_was_not_measured() -> None:
    found = summary(np.array([1.0, np.nan, 2.0, 3.0, 4.0, 5.0]))
    assert (found.median, found.q25, found.q75, found.size) == (3.0, 2.0, 4.0, 5)
    assert np.isnan(summary(np.array([np.nan])).median)
    assert summary(np.array([])).size == 0


def test_slope_is_the_power() -> None:
    n = np.array([10.0, 100.0, 1000.0])
    assert slope(n, 3e-9 * n**1.25) == pytest.approx(1.25)
    assert slope(n, np.full(3, 2.0)) == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(slope(n[:1], n[:1]))
