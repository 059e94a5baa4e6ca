"""A night of faults in small: studies that are killed again and again, whose files are damaged, that are begun twice.

What is done and looked at is in ``benchmarks``, where the same is done by the hundred.
"""

import dataclasses
import random
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import _damage  # noqa: E402  # beside the tests, not installed
import _kills  # noqa: E402
import _night  # noqa: E402
import _reader  # noqa: E402
import _writes  # noqa: E402
import faults  # noqa: E402

SEED = 5
TRIALS = 3


@pytest.fixture(scope="module")
def job(tmp_path_factory, nothing_from_outside):
    """A study that nobody has begun."""
    folder = tmp_path_factory.mktemp("night")
    space = _night.write_space(folder, epochs=4)
    return _night.Job(space, folder / "undisturbed", "small", SEED, TRIALS, ("--subset", "200"))


@pytest.fixture(scope="module")
def undisturbed(job):
    """What it gives when nobody disturbs it."""
    return _kills.reference(job)


@pytest.fixture
def another(job, tmp_path):
    """The same study in a folder of its own."""
    return dataclasses.replace(job, results=tmp_path)


AT_WORKERS = [
    fault
    for fault in _kills.FAULTS
    if fault.name in ("SIGKILL worker", "SIGKILL fork server", "SIGKILL coordinator and worker")
]


def test_ten_kills_at_random_moments_lose_nothing(job, undisturbed, tmp_path):
    account = faults.Account()
    study = {"seed": SEED, "trials": TRIALS, "seeds": 1, "options": job.options, "expected": {SEED: undisturbed}}
    with _reader.Reader(tmp_path / "killed") as reader:
        faults.kill_studies(account, tmp_path, job.space, kills=4, faults=AT_WORKERS, **study)
        faults.kill_studies(account, tmp_path, job.space, kills=10, **study)
    assert account.broken + reader.broken == []
    assert len(account.kills) == 10
    assert (account.lost, account.twice, account.orphans, account.differing) == (0, 0, 0, 0)
    assert max(kill.epochs_lost for kill in account.kills) <= 1
    assert len({kill.fault for kill in account.kills}) > 3, "of many kinds"
    assert account.trials == account.studies * (TRIALS + 1), "and one baseline each"
    assert reader.looks > reader.early


def test_a_truncated_checkpoint_costs_an_epoch(another, undisturbed):
    assert _damage.truncated_checkpoint(another, undisturbed, random.Random(SEED), both=False) == []


@pytest.mark.slow
def test_a_database_that_was_damaged_is_refused_and_put_back(another, undisturbed):
    assert _damage.damaged_database(another, undisturbed, random.Random(SEED)) == []


def test_of_two_coordinators_at_the_same_moment_one_runs(another, undisturbed):
    assert _damage.two_coordinators(another, undisturbed) == []


@pytest.mark.slow
def test_a_fault_at_a_write_of_the_record_and_of_a_checkpoint(another, tmp_path):
    """Killed before it, killed with half of it written, or refused for want of room, which ends by itself."""
    job = dataclasses.replace(another, trials=1, options=("--no-baselines", "--subset", "100", "--keep", "0"))
    writes = _writes.Writes(job, tmp_path / "notes")
    writes.count()
    for point in writes.some(4, random.Random(SEED)):
        writes.disturb(point)
    assert writes.broken == []
    assert sum(writes.tried.values()) == 4
