"""The record of a study as its files hold it, and what a fault must never do to it."""

from __future__ import annotations

import csv
import json
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Kept", "Watch", "checkpoint_epochs", "differing", "read_record", "told"]

ENDED = ("COMPLETE", "PRUNED", "FAIL")
_HAPPENED = ("attempts", "seconds", "started", "finished", "device", "memory")
"""What may differ between two runs that gave the same."""


@dataclass(frozen=True)
class Kept:
    """What is on disk of one trial.

    Args:
        number: As its folder says.
        values: ``trial.json``.
        history: The whole lines of ``history.csv``, a dict an epoch, without the seconds.
    """

    number: int
    values: Mapping[str, Any]
    history: tuple[Mapping[str, str], ...]

    @property
    def ended(self) -> bool:
        """Whether the trial ended."""
        return self.values["state"] in ENDED

    @property
    def gave(self) -> dict[str, Any]:
        """What the trial gave, whenever and however often it was taken up."""
        return {name: value for name, value in self.values.items() if name not in _HAPPENED}


def read_record(study: Path) -> dict[int, Kept]:
    """All trials of a study by the number of their folder.

    A folder without ``trial.json`` is one of a trial that is just being begun, or that was just deleted.

    Args:
        study: The folder of the study.

    Raises:
        ValueError: A file is damaged.
    """
    found: dict[int, Kept] = {}
    for folder in sorted((study / "trials").glob("[0-9]*")):
        try:
            values = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        found[int(folder.name)] = Kept(int(folder.name), values, _history(folder / "history.csv"))
    return found


def _history(path: Path) -> tuple[Mapping[str, str], ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    whole = text[: text.rfind("\n") + 1]  # a line that is being written, or that a kill cut off, is none
    rows = list(csv.DictReader(whole.splitlines()))
    return tuple({name: value for name, value in row.items() if name != "seconds"} for row in rows)


def checkpoint_epochs(path: Path) -> int | None:
    """How many whole epochs a checkpoint holds; None where it is not whole or not there.

    Args:
        path: The file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return None
        with np.load(path, allow_pickle=False) as arrays:
            state = json.loads(arrays["header"].tobytes())["state"]
        return int(state["epochs"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def told(study: Path) -> dict[int, tuple[str, float | None]]:
    """State and score of every trial in Optuna's database.

    Args:
        study: The folder of the study.
    """
    query = (
        "SELECT number, state, value FROM trials LEFT JOIN trial_values ON trials.trial_id = trial_values.trial_id "
        "ORDER BY number"
    )
    with closing(sqlite3.connect(f"file:{study / 'study.db'}?mode=ro", uri=True)) as connection:
        rows = connection.execute(query).fetchall()
    return {number: (state, value) for number, state, value in rows}


def differing(left: Mapping[int, Kept], right: Mapping[int, Kept]) -> list[str]:
    """What differs between two studies of the same seed: proposals, scores, histories.

    Args:
        left: One.
        right: The other.

    Returns:
        A sentence for each trial that differs.
    """
    said = []
    for number in sorted({*left, *right}):
        a, b = left.get(number), right.get(number)
        if a is None or b is None:
            said.append(f"trial {number} is in one of them only")
            continue
        fields = [name for name in {**a.gave, **b.gave} if a.gave.get(name) != b.gave.get(name)]
        if fields:
            name = fields[0]
            said.append(f"trial {number}: {name} is {a.gave.get(name)!r} and {b.gave.get(name)!r}")
        elif a.history != b.history:
            epoch = next((n for n, (x, y) in enumerate(zip(a.history, b.history, strict=False), 1) if x != y), 0)
            lengths = f"{len(a.history)} and {len(b.history)} epochs"
            said.append(
                f"trial {number}: histories differ from epoch {epoch}" if epoch else f"trial {number}: {lengths}"
            )
    return said


@dataclass
class Watch:
    """Looks at a study again and again and finds what must not have happened since.

    Args:
        study: The folder of the study.
    """

    study: Path
    lost: list[str] = field(default_factory=list)
    """Trials that had ended, or were being trained, and that are gone or another now."""
    twice: list[str] = field(default_factory=list)
    """Recipes that were counted twice, and numbers that two trials have."""
    damaged: list[str] = field(default_factory=list)
    """Files that cannot be read."""
    _known: dict[int, Kept] = field(default_factory=dict)

    def look(self) -> dict[int, Kept]:
        """Read the record and compare it with what was there at the last look."""
        try:
            found = read_record(self.study)
        except (OSError, ValueError) as error:
            self.damaged.append(str(error))
            return self._known
        for number, before in self._known.items():
            self._compare(before, found.get(number))
        self._find_doubles(found.values())
        # A trial that was only begun may turn out to repeat another, and is then left out.
        self._known = {number: kept for number, kept in found.items() if kept.ended or kept.values["hash"]}
        return found

    def _compare(self, before: Kept, after: Kept | None) -> None:
        name = f"trial {before.number}"
        if after is None:
            self.lost.append(f"{name} is gone")
        elif before.ended and (before.values != after.values or before.history != after.history):
            self.lost.append(f"{name} had ended and is another now: {before.values} and {after.values}")
        elif before.values["hash"] != after.values["hash"] or before.values["answers"] != after.values["answers"]:
            self.lost.append(f"{name} was of another recipe: {before.values['answers']}, {after.values['answers']}")

    def _find_doubles(self, trials: Iterable[Kept]) -> None:
        trials = list(trials)
        for kept in trials:
            if kept.values["number"] != kept.number:
                self._once(f"folder {kept.number} holds trial {kept.values['number']}")
        recipes = Counter(kept.values["hash"] for kept in trials if kept.ended and kept.values["hash"])
        for recipe, times in recipes.items():
            if times > 1:
                self._once(f"recipe {recipe} was counted {times} times")

    def _once(self, sentence: str) -> None:
        if sentence not in self.twice:
            self.twice.append(sentence)

    def finished(self, trials: int) -> list[str]:
        """What is wrong with a study that said that it is done.

        Args:
            trials: Its budget.
        """
        found = self.look()
        said = [f"trial {number} is still open" for number, kept in found.items() if not kept.ended]
        searched = sum(kept.ended and kept.values["baseline"] is None for kept in found.values())
        if searched != trials:
            said.append(f"{searched} trials were counted for a budget of {trials}")
        database = told(self.study)
        for number, kept in found.items():
            state, score = database.pop(number, ("MISSING", None))
            if state != kept.values["state"] or (state == "COMPLETE" and score != kept.values["score"]):
                said.append(
                    f"trial {number} is {kept.values['state']} in its file and {state} ({score}) in the database"
                )
        said += [
            f"trial {number} is {state} in the database and has no file"
            for number, (state, _) in database.items()
            if state in ("COMPLETE", "RUNNING")
        ]
        return said
