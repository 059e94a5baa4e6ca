"""What a slot waits for between two trials, and what it does not."""

import json
import sys
from pathlib import Path

import optuna
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import handover  # noqa: E402  # beside the tests, not installed

from hpsearch.messages import Go, Measured, Resolved  # noqa: E402  # likewise
from hpsearch.study.folder import StudyFolder  # noqa: E402

TRIALS = 8


def proposals(folder):
    """The trials in Optuna's database whose choices are made."""
    study = optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder.database}")
    return [trial.number for trial in study.get_trials() if trial.params]


@pytest.mark.parametrize("strategy", ["adaptive", "tpe"])
def test_a_worker_builds_while_its_choices_are_written(tmp_path, monkeypatch, strategy):
    folder = StudyFolder(tmp_path / "race")
    seen = {Resolved: [], Measured: []}  # what was in the database when each of them was answered

    class Watched(handover.Standing):
        def listen(self, seconds):
            heard = super().listen(seconds)
            self.last = heard[0].message if heard else None
            return heard

        def send(self, slot, message):
            if isinstance(message, Go) and type(self.last) in seen:
                seen[type(self.last)].append(proposals(folder))
            super().send(slot, message)

    monkeypatch.setattr(handover, "Standing", Watched)
    handover.searched(tmp_path, strategy, TRIALS, 1)
    assert len(seen[Resolved]) == len(seen[Measured]) >= TRIALS
    assert [len(after) for after in seen[Measured]] == [len(before) + 1 for before in seen[Resolved]]


def test_the_record_of_the_benchmark_is_that_of_a_search(tmp_path):
    found = handover.searched(tmp_path, "adaptive", TRIALS, 2)
    trials = StudyFolder(tmp_path / "race").trials()
    assert sum(trial.state in ("COMPLETE", "PRUNED") for trial in trials) >= TRIALS
    assert all(trial.recipe and trial.answers for trial in trials)
    assert len(found.waits) >= TRIALS - 2
    assert all(wait > 0 for wait in found.waits)


def test_the_benchmark_says_what_it_measured(tmp_path, monkeypatch, capsys):
    output = tmp_path / "handover"
    monkeypatch.setattr(
        sys, "argv", ["handover.py", "--trials", "6", "--strategies", "random", "--output", str(output)]
    )
    assert handover.main() == 0  # nothing is claimed of any strategy but the default
    said = json.loads(output.with_suffix(".json").read_text())
    assert len(said["waits"]["random"]["6"]) == 5
    table = output.with_suffix(".md").read_text()
    assert table.splitlines()[-1].startswith("| random | ")
    assert table == capsys.readouterr().out
