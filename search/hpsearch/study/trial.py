"""The record of one trial: a folder with its recipe, its answers and scores, and its history epoch by epoch."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from hpsearch.study.atomic import append_text, read_json, write_json, write_text

__all__ = ["STATES", "Epoch", "FailureKind", "State", "Trial", "TrialFolder", "finite"]

State = Literal["RUNNING", "COMPLETE", "PRUNED", "FAIL"]
STATES: tuple[State, ...] = ("RUNNING", "COMPLETE", "PRUNED", "FAIL")

FailureKind = Literal[
    "out_of_memory",
    "not_finite",
    "crashed",
    "timed_out",
    "invalid_model",
    "bad_data",
    "user_code",
    "interrupted",
    "duplicate",
]


@dataclass(frozen=True)
class Epoch:
    """What one epoch of training gave.

    Args:
        epoch: Its number, from 1.
        seconds: How long it took, validation included.
        metrics: Values by name: loss, accuracy, val_loss, val_accuracy, learning_rate. NaN where not finite.
    """

    epoch: int
    seconds: float
    metrics: Mapping[str, float]


@dataclass
class Trial:
    """Everything known of a trial but its history.

    Args:
        number: Its number in the study, as Optuna counts.
        state: As Optuna names it.
        baseline: The name of the hand-made network it is, or None.
        answers: The choices that give its recipe, by name.
        recipe: The recipe as Python source; empty until it is resolved.
        hash: The hash of the canonical recipe.
        seed: The seed of its weights, shuffles and dropout.
        parameters: How many parameters the network has, frozen ones included.
        flops: Floating-point operations of one image through it, forward.
        memory: Estimate of the most bytes that training it takes.
        device: What it was trained on, such as ``cpu`` or ``gpu 0``.
        engine: What trained it, ``fit`` or ``device``; empty while that is not known.
        parent: The trial from whose checkpoint it went on, or None; of a final, the finalist: its trial in the study.
        enqueued: Whether a user added it to the study.
        attempts: How often training was started or taken up again.
        score: The objective at its best epoch, measured on validation.
        best_epoch: The epoch of that score, from 1.
        train_score: The same metric on training images in inference mode, with the weights of the best epoch; None
            where training was given up early.
        epochs: How many epochs were trained.
        epochs_budget: How many it was allowed.
        seconds: Time from start to end.
        failure: Why it failed, as a kind.
        message: One sentence about its end: why it failed, was stopped or skipped.
        started: Seconds since 1970.
        finished: Seconds since 1970, or None while it runs.
        called: What people call it where that is not its number or baseline: of a final, its finalist and which seed.
    """

    number: int
    state: State = "RUNNING"
    baseline: str | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    recipe: str = ""
    hash: str = ""
    seed: int = 0
    parameters: int | None = None
    flops: int | None = None
    memory: int | None = None
    device: str = ""
    engine: str = ""
    parent: int | None = None
    enqueued: bool = False
    attempts: int = 0
    score: float | None = None
    best_epoch: int | None = None
    train_score: float | None = None
    epochs: int = 0
    epochs_budget: int = 0
    seconds: float = 0.0
    failure: FailureKind | None = None
    message: str = ""
    started: float = 0.0
    finished: float | None = None
    called: str = ""

    @property
    def goes_on(self) -> bool:
        """Whether it goes on from another trial of its study, with the same recipe."""
        return self.parent is not None and not self.called

    @property
    def name(self) -> str:
        """What people call it: the name of the baseline, or its number."""
        return self.called or self.baseline or str(self.number)


_FILE = "trial.json"
_RECIPE = "recipe.py"
_HISTORY = "history.csv"
_LOG = "log.txt"


class TrialFolder:
    """``trials/00012/``: ``trial.json``, ``recipe.py``, ``history.csv``, ``log.txt``.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def log(self) -> Path:
        """The file that takes tracebacks and whatever training prints."""
        return self.path / _LOG

    def write(self, trial: Trial) -> None:
        """Write the record, and the recipe beside it as a file of its own, each atomically."""
        self.path.mkdir(parents=True, exist_ok=True)
        values = dataclasses.asdict(trial)
        recipe = values.pop("recipe")
        if recipe:
            write_text(self.path / _RECIPE, recipe + "\n")
        write_json(self.path / _FILE, values)

    def delete(self) -> None:
        """Leave nothing behind, as for a proposal that turned out to be the double of another."""
        shutil.rmtree(self.path, ignore_errors=True)

    def read(self) -> Trial:
        """Read the record back.

        Raises:
            OSError: It is not there.
            ValueError: It is not a record.
        """
        values = read_json(self.path / _FILE)
        recipe = self.path / _RECIPE
        try:
            return Trial(**values, recipe=recipe.read_text(encoding="utf-8").rstrip("\n") if recipe.exists() else "")
        except TypeError as error:
            raise ValueError(f"{self.path / _FILE} is not the record of a trial: {error}") from error

    def append(self, epoch: Epoch) -> None:
        """Add an epoch to the history."""
        path = self.path / _HISTORY
        rows = io.StringIO()
        _write_rows(rows, epoch, header=not path.exists() or not path.stat().st_size)
        append_text(path, rows.getvalue())

    def cut_history(self, epochs: int) -> list[Epoch]:
        """Keep the first epochs of the history; those after the checkpoint that training goes on from are trained anew.

        Args:
            epochs: How many to keep.

        Returns:
            Those that are kept.
        """
        kept = self.history()[:epochs]
        self.write_history(kept)
        return kept

    def write_history(self, epochs: Sequence[Epoch]) -> None:
        """Replace the history.

        Args:
            epochs: All of it, in order.
        """
        text = io.StringIO()
        for number, epoch in enumerate(epochs):
            _write_rows(text, epoch, header=number == 0)
        write_text(self.path / _HISTORY, text.getvalue())

    def recorded(self) -> list[str]:
        """The metrics that its history holds, in order; nothing where there is none yet."""
        try:
            with open(self.path / _HISTORY, encoding="utf-8", newline="") as file:
                return next(csv.reader(file), [])[2:]
        except (OSError, ValueError):
            return []

    def history(self) -> list[Epoch]:
        """The epochs so far; a line that was cut off by a kill ends the list."""
        path = self.path / _HISTORY
        if not path.exists():
            return []
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        epochs: list[Epoch] = []
        for row in rows[1:]:
            if len(row) != len(rows[0]):
                break
            try:
                metrics = {name: float(cell) for name, cell in zip(rows[0][2:], row[2:], strict=True)}
                epochs.append(Epoch(int(row[0]), float(row[1]), metrics))
            except ValueError:
                break
        return epochs


def _write_rows(file: TextIO, epoch: Epoch, *, header: bool) -> None:
    writer = csv.writer(file)
    if header:
        writer.writerow(["epoch", "seconds", *epoch.metrics])
    writer.writerow([epoch.epoch, f"{epoch.seconds:.3f}", *(f"{v:.9g}" for v in epoch.metrics.values())])


def finite(value: float | None) -> float | None:
    """The value, or None where JSON could not say it."""
    return value if value is not None and math.isfinite(value) else None
