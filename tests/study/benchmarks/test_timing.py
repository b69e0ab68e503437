import gc
import time

import numpy as np
import pytest

from study.benchmarks.timing import Task, interleaved, slope, summary


class Spy:
    """Notes in a shared list that it was called, and takes some time."""

    def __init__(self, name, calls, seconds=0.0):
        self.name, self.calls, self.seconds = name, calls, seconds

    def __call__(self):
        self.calls.append(self.name)
        time.sleep(self.seconds)
        return len(self.calls)


def test_each_task_is_warmed_up_and_then_runs_once_a_round_in_changing_order():
    calls = []
    names = ("a", "b", "c", "d")
    timed = interleaved({name: Task(Spy(name, calls)) for name in names}, 6, least=0.0)
    rounds = [tuple(calls[4 * i : 4 * i + 4]) for i in range(7)]
    assert rounds[0] == names
    assert all(set(order) == set(names) for order in rounds)
    assert len(set(rounds[1:])) > 1
    assert {name: seconds.shape for name, seconds in timed.seconds.items()} == dict.fromkeys(
        names, (6,)
    )
    # What a task gave stands with its time: the place at which it was called.
    assert sorted(r for found in timed.results.values() for r in found) == list(range(5, 29))


def test_the_order_is_the_seeds():
    def order(seed):
        calls = []
        interleaved({name: Task(Spy(name, calls)) for name in "abcd"}, 5, seed=seed, least=0.0)
        return calls

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_a_quick_task_is_looped_and_its_time_is_of_one_call():
    calls = []
    least = 0.02
    timed = interleaved({"quick": Task(Spy("quick", calls, 0.001))}, 3, least=least)
    # A sleep lasts at least as long as asked for, so that a call takes a millisecond or more.
    assert np.all(timed.seconds["quick"] >= 0.001)
    assert np.all(timed.seconds["quick"] < least)
    assert len(calls) > 3 + 1


def test_time_is_at_least_what_passed():
    timed = interleaved({"sleep": Task(lambda: time.sleep(0.01))}, 2)
    assert np.all(timed.seconds["sleep"] >= 0.01)


def test_a_task_of_its_own_warm_up_and_fewer_rounds():
    calls, warmed = [], []
    tasks = {
        "slow": Task(Spy("slow", calls), lambda: warmed.append("slow"), repeats=1),
        "fast": Task(Spy("fast", calls)),
    }
    timed = interleaved(tasks, 3, least=0.0)
    assert warmed == ["slow"]
    assert calls.count("slow") == timed.seconds["slow"].size == 1
    assert timed.seconds["fast"].size == 3


def test_the_collector_is_off_while_the_clock_runs_and_on_again_afterwards():
    seen = []
    interleaved({"look": Task(lambda: seen.append(gc.isenabled()), lambda: None)}, 1)
    assert set(seen) == {False}
    assert gc.isenabled()

    def fails():
        raise KeyError("lost")

    with pytest.raises(KeyError):
        interleaved({"fails": Task(fails, lambda: None)}, 1)
    assert gc.isenabled()


def test_summary_leaves_out_what_was_not_measured():
    found = summary(np.array([1.0, np.nan, 2.0, 3.0, 4.0, 5.0]))
    assert (found.median, found.q25, found.q75, found.size) == (3.0, 2.0, 4.0, 5)
    assert np.isnan(summary(np.array([np.nan])).median)
    assert summary(np.array([])).size == 0


def test_slope_is_the_power():
    n = np.array([10.0, 100.0, 1000.0])
    assert slope(n, 3e-9 * n**1.25) == pytest.approx(1.25)
    assert slope(n, np.full(3, 2.0)) == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(slope(n[:1], n[:1]))
