"""What a failure means: whether training is taken up again, what the strategy is told, what counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hpsearch.executors.base import Slot
from hpsearch.study.trial import FailureKind, Trial

__all__ = ["ALIKE", "POLICIES", "Policy", "failed_alike", "retries", "same_lack"]

ALIKE = 5
"""A run whose first trials all fail alike, so many of them, is stopped: the next ones would fail too."""
KILLS = 5
"""A trial whose worker is killed from outside so often without an epoch gained in between is given up."""


@dataclass(frozen=True)
class Policy:
    """What follows from a kind of failure.

    Args:
        retries: How often training is taken up again, from the last checkpoint, without an epoch gained in between.
        avoid: Whether the strategy is told that the region of the proposal does not work.
        counts: Whether the trial counts for the budget of trials.
    """

    retries: int = 0
    avoid: bool = True
    counts: bool = True


POLICIES: dict[FailureKind, Policy] = {
    "out_of_memory": Policy(),
    "not_finite": Policy(),
    # A driver that fails, a process that somebody killed: another worker may do better.
    "crashed": Policy(retries=3),
    "timed_out": Policy(retries=1),
    "invalid_model": Policy(counts=False),
    "bad_data": Policy(counts=False),
    "user_code": Policy(),
    "interrupted": Policy(avoid=False, counts=False),
    "duplicate": Policy(avoid=False),
}


def retries(kind: FailureKind, slot: Slot, *, outside: bool = False) -> int:
    """How often training is taken up again after a failure, without an epoch gained in between.

    Args:
        kind: The failure.
        slot: Where it happened.
        outside: Whether somebody else ended the worker.
    """
    if outside:
        return KILLS
    # Alone on its device a network that did not fit will not fit; beside others it may.
    return 1 if kind == "out_of_memory" and slot.shared else POLICIES[kind].retries


def failed_alike(trials: Sequence[Trial]) -> bool:
    """Whether the first trials of a run say that none will work.

    Args:
        trials: The trials that ended in this run, in order; those that limits rejected are left out by the caller.
    """
    first = trials[:ALIKE]
    return len(first) == ALIKE and all(trial.state == "FAIL" for trial in first) and len(set(map(_way, first))) == 1


def _way(trial: Trial) -> tuple[FailureKind | None, str]:
    """How a trial failed: its kind; for networks that do not fit, what is wrong too, as there a space has many ways."""
    said = re.sub(r"\d+", "#", trial.message) if trial.failure == "invalid_model" else ""
    return trial.failure, said


def same_lack(trial: Trial, others: Sequence[Trial]) -> bool:
    """Whether a trial failed for want of a file that an earlier one wanted: one trial in the record says it.

    Args:
        trial: The trial.
        others: The trials of the record.
    """
    return trial.failure == "bad_data" and any(
        other.failure == "bad_data" and other.message == trial.message for other in others
    )
