"""The leaderboard: which trial did best, and how much of its score is only memory of the training rows."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hpsearch.results.intervals import Bounds, interval
from hpsearch.study.trial import STATES, Trial

__all__ = ["FIELDS", "Row", "as_csv", "as_json", "counts", "outcome", "rank", "ranked", "record", "summary"]

FIELDS = (
    "rank",
    "study",
    "trial",
    "number",
    "baseline",
    "validation",
    "validation_low",
    "validation_high",
    "train",
    "gap",
    "overfits",
    "parameters",
    "flops",
    "memory",
    "epochs",
    "epochs_budget",
    "seconds",
    "device",
    "engine",
    "parent",
    "state",
    "interrupted",
    "failure",
    "message",
    "recipe_hash",
)

WIDE_GAP = 0.05
"""A gap of a metric that ends at 1, such as accuracy, is large from here on."""
WIDE_SHARE = 0.25
"""A gap of any other metric is large from this share of the validation score on."""
FEW_ROWS = 200
"""Where nothing is known of the luck of a metric, a gap on fewer validation rows says nothing."""
_BY_CHANCE = {"auc": 0.5, "r2": 0.0}
"""Whoever is no better on the rows trained on has learned nothing that could be overfitted."""
_UP_TO_ONE = ("accuracy", "auc", "f1", "precision", "recall", "r2")


@dataclass(frozen=True)
class Row:
    """A trial and where it stands.

    Args:
        rank: Its place, from 1; equal scores share a place. None without a score.
        trial: The trial.
        gap: How much better the trial does on images it has seen; positive means overfitting, for losses too.
        interrupted: Whether it has not ended and nobody trains it; it goes on from its checkpoint when the study does.
        study: The study it belongs to; empty where that goes without saying.
        bounds: Between which scores the validation score lies, 95 times in 100, as far as the number of validation
            images tells; None where that is not known.
        overfits: Whether the gap is large, and larger than the luck of the validation images explains.
        metrics: What else was measured at its best epoch, as far as it was asked for; None where that is not known.
    """

    rank: int | None
    trial: Trial
    gap: float | None
    interrupted: bool = False
    study: str = ""
    bounds: Bounds | None = None
    overfits: bool = False
    metrics: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def validation(self) -> float | None:
        """The score, or None where there is none or it is not finite."""
        return _finite(self.trial.score)

    @property
    def train(self) -> float | None:
        """The same metric on training images, or None."""
        return _finite(self.trial.train_score)

    @property
    def outcome(self) -> str:
        """How the trial ended, in one label; ``interrupted`` where it has not and nobody trains it."""
        return "interrupted" if self.interrupted else outcome(self.trial)


def rank(
    trials: Iterable[Trial],
    maximize: bool,
    training: Collection[int] = (),
    *,
    metric: str = "",
    images: int = 0,
    study: str = "",
) -> list[Row]:
    """Order trials, the best first.

    A trial with a score is ranked whatever its state; among equal scores the earlier trial stands first. Trials without
    a score come last, by number. Left out are repeats of an earlier trial (``duplicate``), which say nothing new, and
    trials from which another one goes on, whose history is part of that one's.

    Args:
        trials: The trials of one study, in any order.
        maximize: Whether a higher score is better.
        training: The numbers of those that are being trained now; another one that has not ended was interrupted.
        metric: What the score is, such as ``val_accuracy``; without it nothing is said of luck and overfitting.
        images: How many rows or images the score was measured on; 0 where that is not known.
        study: The study that the rows name as theirs.
    """
    trials = list(trials)
    superseded = {trial.parent for trial in trials if trial.goes_on and trial.score is not None}
    kept = [trial for trial in trials if trial.failure != "duplicate" and trial.number not in superseded]
    kept.sort(key=lambda trial: trial.number)
    rows = [_unranked(trial, maximize, training, metric.removeprefix("val_"), images) for trial in kept]
    return ranked([replace(row, study=study) for row in rows], maximize)


def ranked(rows: Iterable[Row], maximize: bool) -> list[Row]:
    """Rows with their places, the best first; those without a score last.

    Args:
        rows: They may be of several studies; among equal scores those that come first here stand first.
        maximize: Whether a higher score is better.
    """
    rows = list(rows)
    scored = [row for row in rows if row.validation is not None]
    scored.sort(key=lambda row: row.validation or 0.0, reverse=maximize)  # stable in both directions
    placed: list[Row] = []
    for place, row in enumerate(scored, start=1):
        tied = bool(placed) and placed[-1].validation == row.validation
        placed.append(replace(row, rank=placed[-1].rank if tied else place))
    return placed + [row for row in rows if row.validation is None]


def _unranked(trial: Trial, maximize: bool, training: Collection[int], metric: str, images: int) -> Row:
    score, train = _finite(trial.score), _finite(trial.train_score)
    interrupted = trial.state == "RUNNING" and trial.number not in training
    bounds = interval(metric, {metric: score, "correct": round(score * images)}, images) if score is not None else None
    if score is None or train is None:
        return Row(None, trial, None, interrupted, bounds=bounds)
    gap = train - score if maximize else score - train
    overfits = _overfits(metric, score, train, gap, bounds, images)
    return Row(None, trial, gap, interrupted, bounds=bounds, overfits=overfits)


def _overfits(metric: str, score: float, train: float, gap: float, bounds: Bounds | None, images: int) -> bool:
    if not metric or train <= _BY_CHANCE.get(metric, -math.inf):
        return False
    if bounds[0] <= train <= bounds[1] if bounds else 0 < images < FEW_ROWS:
        return False
    return gap > (WIDE_GAP if metric in _UP_TO_ONE else WIDE_SHARE * abs(score))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def outcome(trial: Trial) -> str:
    """How a trial ended, in one label: ``COMPLETE``, ``PRUNED``, ``FAIL: out_of_memory``."""
    return f"{trial.state}: {trial.failure}" if trial.failure else trial.state


# ---- how many


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """Trials by state, failures by kind, and those that were ``interrupted``: what `summary` puts into words."""
    return dict(Counter("interrupted" if row.interrupted else row.trial.failure or row.trial.state for row in rows))


def summary(numbers: Mapping[str, int]) -> list[tuple[str, str]]:
    """How many trials ended how, as pairs of a label and words.

    Such as ``("COMPLETE", "40 complete")``, ``("FAIL", "3 failed: 2 out_of_memory, 1 not_finite")``,
    ``("interrupted", "1 interrupted")``.

    Args:
        numbers: Trials by state, failures by kind.
    """
    known = Counter(dict(numbers))
    others = ("interrupted", "duplicate")
    kinds = {word: number for word, number in known.items() if word not in (*STATES, *others) and number}
    said = [("COMPLETE", known["COMPLETE"], "complete", "")]
    said += [("FAIL", known["FAIL"] + sum(kinds.values()), "failed", _kinds(kinds))]
    said += [("PRUNED", known["PRUNED"], "pruned", ""), ("RUNNING", known["RUNNING"], "running", "")]
    said += [
        ("interrupted", known["interrupted"], "interrupted", ""),
        ("duplicate", known["duplicate"], "repeated", ""),
    ]
    return [(label, f"{number:,} {word}{more}") for label, number, word, more in said if number]


def _kinds(kinds: Mapping[str, int]) -> str:
    """The most frequent kind first."""
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return f": {', '.join(f'{number:,} {kind}' for kind, number in ordered)}" if ordered else ""


# ---- as plain values


def record(row: Row) -> dict[str, object]:
    """A row as plain values with full precision, by the names in `FIELDS` and of metrics that were asked for."""
    trial = row.trial
    return {
        "rank": row.rank,
        "study": row.study,
        "trial": trial.name,
        "number": trial.number,
        "baseline": trial.baseline,
        "validation": row.validation,
        "validation_low": row.bounds[0] if row.bounds else None,
        "validation_high": row.bounds[1] if row.bounds else None,
        "train": row.train,
        "gap": row.gap,
        "overfits": row.overfits,
        "parameters": trial.parameters,
        "flops": trial.flops,
        "memory": trial.memory,
        "epochs": trial.epochs,
        "epochs_budget": trial.epochs_budget,
        "seconds": trial.seconds,
        "device": trial.device,
        "engine": trial.engine,
        "parent": trial.parent,
        "state": trial.state,
        "interrupted": row.interrupted,
        "failure": trial.failure,
        "message": trial.message,
        "recipe_hash": trial.hash,
        **row.metrics,
    }


def as_json(rows: Sequence[Row]) -> str:
    """The rows as a JSON list of objects."""
    return json.dumps([record(row) for row in rows], indent=2, allow_nan=False)


def _cell(value: Any) -> Any:
    """What stands for a value; a spreadsheet would take a text that begins so for a formula and calculate it."""
    if isinstance(value, bool):
        return json.dumps(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def as_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV with a header, a line a trial; what is not known is an empty cell, yes and no as in JSON."""
    text = io.StringIO()
    metrics = dict.fromkeys(name for row in rows for name in row.metrics)
    writer = csv.DictWriter(text, [*FIELDS, *metrics], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {**record(row), "message": " ".join(row.trial.message.split())}
        writer.writerow({name: _cell(value) for name, value in cells.items()})
    return text.getvalue().rstrip("\n")
