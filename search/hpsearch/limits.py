"""How far a study may go, and when one trial would take too much of it."""

from __future__ import annotations

from dataclasses import dataclass

from hpsearch.study.trial import Epoch

__all__ = ["Limits"]

TRIAL_SHARE = 0.1
"""The share of the time budget that one trial may take: a search wants to see ten at least."""
TIMED_EPOCHS = 2
"""How many epochs are timed before a trial is found too slow; the first may take longer, as it also compiles."""


@dataclass(frozen=True)
class Limits:
    """How far a study may go; totals over all its runs.

    Args:
        trials: The most trials that the search proposes, baselines not counted; None is no limit.
        seconds: The most seconds of training; None is no limit.
        epochs: The most epochs of a trial; None leaves it to the recipe.
        baselines: Whether the hand-made networks are trained too.
    """

    trials: int | None = None
    seconds: float | None = None
    epochs: int | None = None
    baselines: bool = True

    def too_slow(self, epoch: Epoch, epochs: int) -> str:
        """Why a trial is too slow for the time budget; empty when it is not, or when that was decided before.

        Args:
            epoch: The epoch that ended.
            epochs: How many the trial may take.
        """
        needed = epoch.seconds * epochs
        # The first epoch decides only where compiling cannot be to blame.
        most = TRIAL_SHARE * (self.seconds or float("inf")) * (2 if epoch.epoch == 1 else 1)
        if epoch.epoch > TIMED_EPOCHS or needed <= most:
            return ""
        return f"too slow: {epochs} epochs of {epoch.seconds:.0f} s are over a tenth of the time budget"
