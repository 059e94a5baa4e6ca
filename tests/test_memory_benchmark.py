"""The benchmark of memory: what it calls flat, and a run of some trials that is."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import _night  # noqa: E402  # beside the tests, not installed
import memory  # noqa: E402

MB = 2**20


def looks(coordinator=0.0, server=0.0, trial=9.0, life=0.0, trials=200):
    """A made-up run whose workers train forty trials each; its processes grow by so many megabytes a trial."""

    def look(number):
        worker, age = divmod(number, 40)
        sizes = {
            "coordinator": (1, 90 + coordinator * number),
            "fork server": (2, 600 + server * number),
            "worker": (10 + worker, 400 + trial * age + life * worker),
        }
        held = (memory.Held(role, pid, round(size * MB), round(size * MB)) for role, (pid, size) in sizes.items())
        return memory.Look(number + 1, float(number), tuple(held))

    return [look(number) for number in range(trials)]


def test_workers_that_grow_and_are_replaced_are_flat():
    assert memory.broken(looks()) == []
    first, *_, last = memory.workers(looks())
    assert (len(first.looks), first.most, first.growth) == (40, (400 + 9 * 39) * MB, 9 * MB)
    assert last.pid == 14


@pytest.mark.parametrize(
    ("growing", "said"),
    [
        ({"coordinator": 0.1}, ["the coordinator grew from 93 MB to 109 MB"]),
        ({"server": 0.3}, ["the fork server grew from 609 MB to 657 MB"]),
        ({"life": 30}, ["worker 3 held up to 811 MB, the first one 751 MB"]),
        ({"trial": 0, "life": 300, "trials": 70}, ["worker 2 held up to 700 MB, the first one 400 MB"]),
    ],
)
def test_what_grows_is_said(growing, said):
    assert [sentence for sentence in memory.broken(looks(**growing)) if not sentence.startswith("all")][:1] == said


def test_growth_of_all_together_is_said():
    (sentence,) = memory.broken(looks(server=0.25, life=20))[-1:]
    assert sentence.startswith("all processes together held up to ")


def test_a_line_of_bars_ends_at_the_largest():
    assert memory.sparkline([0, 4, 8], 60) == "▁▅█"
    assert len(memory.sparkline(list(range(1000)), 60)) == 60


@pytest.mark.slow
def test_a_run_of_some_trials_is_flat(tmp_path, nothing_from_outside):
    """Its first worker is replaced by a second one, and that by a third."""
    space = _night.write_space(tmp_path, epochs=1)
    job = _night.Job(space, tmp_path / "results", "memory", 0, 90, ("--no-baselines", "--subset", "100", "--keep", "0"))
    found = memory.watched(job)
    assert memory.broken(found) == []
    assert found[-1].trials == 90
    assert len(memory.workers(found)) == 3
    assert {held.role for look in found for held in look.processes} >= set(memory.ROLES)
