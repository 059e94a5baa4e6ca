"""How far a training has come, as a checkpoint says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from hpsearch.study.trial import Epoch

__all__ = ["Progress"]


@dataclass
class Progress:
    """How far training has come.

    Args:
        epochs: Whole epochs.
        step: Steps done in the next one.
        seconds: Time spent in it.
        learning_rate: Of the epoch in progress, when it began.
        stopped: Whether a callback ended the phase after the last whole epoch.
        best: The best score.
        best_epoch: Its epoch, from 1.
        history: What the whole epochs gave.
        phase: Which phase they have come to, from 0.
        before: Whole epochs of the phases before it.
        engine: What trained last: ``fit`` or ``device``.
    """

    epochs: int = 0
    step: int = 0
    seconds: float = 0.0
    learning_rate: float = math.nan
    stopped: bool = False
    best: float | None = None
    best_epoch: int = 0
    history: list[Epoch] = field(default_factory=list)
    phase: int = 0
    before: int = 0
    engine: str = "fit"

    def said(self) -> dict[str, Any]:
        """As JSON can say it."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**said, "history": [[epoch.epoch, epoch.seconds, dict(epoch.metrics)] for epoch in self.history]}

    @staticmethod
    def heard(said: Mapping[str, Any]) -> Progress:
        """What `said` gave."""
        said = {"engine": "fit", **said}  # there were checkpoints before there was a choice
        known = {each.name: said[each.name] for each in fields(Progress)}
        return Progress(**{**known, "history": [Epoch(*epoch) for epoch in said["history"]]})
