"""A search on a disk that fills up: it waits and says so, goes on when there is room, and loses nothing."""

import contextlib
import json
import sqlite3

import pytest

pytestmark = pytest.mark.slow

SMALL = """
space = Space(
    data="digits",
    search=Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=between(2, 20))])),
        training=Training(epochs=12, batch_size=16, optimizer=Adam(learning_rate=0.01)),
    ),
)
"""
OPTIONS = ("--trials", 3, "--subset", 300, "--deterministic", "--devices", "cpu")
HAPPENED = {"attempts", "seconds", "started", "finished"}
"""What may differ between two runs that gave the same."""


@pytest.fixture
def disk(small_disk):
    return small_disk("4m")


@pytest.fixture(scope="module")
def small(tmp_path_factory, write_space):
    """The space file."""
    return write_space(tmp_path_factory.mktemp("small") / "small.py", SMALL)


@pytest.fixture(scope="module")
def undisturbed(cli, small, trials_of, history_of):
    """What the study gives where there is room."""
    results = small.parent / "results"
    assert cli("run", small, *OPTIONS, "--results", results).code == 0
    return gave(results / "small", trials_of, history_of)


def gave(study, trials_of, history_of):
    """The trials of a study with their histories, but for what the time decides."""
    trials = []
    for trial in trials_of(study):
        history = history_of(study, trial["number"])
        for epoch in history:
            del epoch["seconds"]
        kept = {name: value for name, value in trial.items() if name not in HAPPENED}
        trials.append({**kept, "history": history})
    return trials


def sound(study):
    """Nothing of what is on the disk is damaged or half written."""
    for path in study.rglob("*.json"):
        json.loads(path.read_text())
    with contextlib.closing(sqlite3.connect(f"file:{study / 'study.db'}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return True


@pytest.fixture(params=[(), ("--checkpoint-every", "1h")], ids=["checkpoint first", "record first"])
def paused(request, command, disk, small, wait_for):
    """A run whose disk became full while it trained, once it has said that it waits; and its arguments.

    Where no checkpoints are written meanwhile, the coordinator is the first who cannot write.
    """
    arguments = ("run", small, *OPTIONS, "--results", disk.path, *request.param)
    run = command(*arguments)
    history = disk.path / "small" / "trials" / "00001" / "history.csv"
    wait_for(lambda: history.exists() and len(history.read_text().splitlines()) > 3, "three epochs of the second trial")
    disk.fill()
    run.line_with(f"paused: the disk that holds {disk.path / 'small'} is full; make room, and the search goes on")
    assert run.process.poll() is None
    return run, arguments


def test_a_run_waits_for_room_and_goes_on(paused, disk, cli, undisturbed, trials_of, history_of):
    run, _ = paused
    study = disk.path / "small"
    assert sound(study)
    asked = cli("status", "--study", "small", "--results", disk.path)
    assert asked.code == 0, "who only looks needs no room"
    disk.free()
    run.line_with("small: goes on")
    said = run.end()
    assert said.code == 0, said
    assert said.err == ""
    assert gave(study, trials_of, history_of) == undisturbed
    assert {trial["attempts"] for trial in trials_of(study)} == {1}, "nothing was trained anew"
    assert sound(study)
    assert not list(study.rglob(".*.tmp"))


def test_a_run_that_waits_stops_in_good_order(paused, disk, command, undisturbed, trials_of, history_of, wait_for):
    run, arguments = paused
    study = disk.path / "small"
    run.interrupt()
    said = run.end()
    wait_for(run.gone, "the end of all processes")
    full = f"Stopped while the disk that holds {study} is full; make room, then the same command goes on from here."
    assert (said.code, said.err) == (1, f"Error: {full}\n")
    assert sound(study)
    disk.free()
    assert command(*arguments).end().code == 0
    assert gave(study, trials_of, history_of) == undisturbed
    assert sound(study)
