"""The leaderboard: which trial did best, and how much of its score is only memory of the training images."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hpsearch.study.trial import Trial

__all__ = ["FIELDS", "Row", "as_csv", "as_json", "outcome", "rank", "record"]

FIELDS = (
    "rank",
    "trial",
    "number",
    "baseline",
    "validation",
    "train",
    "gap",
    "parameters",
    "epochs",
    "epochs_budget",
    "seconds",
    "state",
    "failure",
    "message",
    "recipe_hash",
)


@dataclass(frozen=True)
class Row:
    """A trial and where it stands.

    Args:
        rank: Its place, from 1; equal scores share a place. None without a score.
        trial: The trial.
        gap: How much better the trial does on images it has seen; positive means overfitting, for losses too.
    """

    rank: int | None
    trial: Trial
    gap: float | None

    @property
    def validation(self) -> float | None:
        """The score, or None where there is none or it is not finite."""
        return _finite(self.trial.score)

    @property
    def train(self) -> float | None:
        """The same metric on training images, or None."""
        return _finite(self.trial.train_score)


def rank(trials: Iterable[Trial], maximize: bool) -> list[Row]:
    """Order trials, the best first.

    A trial with a score is ranked whatever its state; among equal scores the earlier trial stands first. Trials without
    a score come last, by number. Repeats of an earlier trial (``duplicate``) say nothing new and are left out.

    Args:
        trials: The trials of one study, in any order.
        maximize: Whether a higher score is better.
    """
    kept = [_unranked(trial, maximize) for trial in trials if trial.failure != "duplicate"]
    kept.sort(key=lambda row: row.trial.number)
    scored = [row for row in kept if row.validation is not None]
    scored.sort(key=lambda row: row.validation or 0.0, reverse=maximize)  # stable in both directions
    ranked: list[Row] = []
    for place, row in enumerate(scored, start=1):
        tied = bool(ranked) and ranked[-1].validation == row.validation
        ranked.append(Row(ranked[-1].rank if tied else place, row.trial, row.gap))
    return ranked + [row for row in kept if row.validation is None]


def _unranked(trial: Trial, maximize: bool) -> Row:
    score, train = _finite(trial.score), _finite(trial.train_score)
    if score is None or train is None:
        return Row(None, trial, None)
    return Row(None, trial, train - score if maximize else score - train)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def outcome(trial: Trial) -> str:
    """How a trial ended, in one label: ``COMPLETE``, ``PRUNED``, ``FAIL: out_of_memory``."""
    return f"{trial.state}: {trial.failure}" if trial.failure else trial.state


def record(row: Row) -> dict[str, object]:
    """A row as plain values with full precision, by the names in `FIELDS`."""
    trial = row.trial
    return {
        "rank": row.rank,
        "trial": trial.name,
        "number": trial.number,
        "baseline": trial.baseline,
        "validation": row.validation,
        "train": row.train,
        "gap": row.gap,
        "parameters": trial.parameters,
        "epochs": trial.epochs,
        "epochs_budget": trial.epochs_budget,
        "seconds": trial.seconds,
        "state": trial.state,
        "failure": trial.failure,
        "message": trial.message,
        "recipe_hash": trial.hash,
    }


def as_json(rows: Sequence[Row]) -> str:
    """The rows as a JSON list of objects."""
    return json.dumps([record(row) for row in rows], indent=2, allow_nan=False)


def as_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV with a header, a line a trial; what is not known is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({**record(row), "message": " ".join(row.trial.message.split())} for row in rows)
    return text.getvalue().rstrip("\n")
