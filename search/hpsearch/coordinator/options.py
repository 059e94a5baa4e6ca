"""How a run treats its trials."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """How a run treats its trials.

    Args:
        seed: Where the seeds of the trials start.
        hang_timeout: Seconds without a sign of life after which a worker is given up.
        checkpoint_every: Seconds between checkpoints of a trial; 0 writes one after every epoch.
        keep: Of how many of the best trials the checkpoints stay.
    """

    seed: int = 0
    hang_timeout: float = 600.0
    checkpoint_every: float = 0.0
    keep: int = 5
