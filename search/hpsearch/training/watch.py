"""Whoever is told how training goes, and may end it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hpsearch.study.trial import Epoch
from hpsearch.training.checkpoint import NoRoomError

__all__ = ["Leaving", "Verdict", "Watch"]

Verdict = Literal["go", "halt", "leave"]
"""Go on; end here, what was found counts; or stop, so that training can go on later."""


class Leaving(Exception):
    """Training stopped as asked, and can go on later.

    Args:
        epochs: Whole epochs that the checkpoint on disk holds, or None where there is no checkpoint.
    """

    def __init__(self, epochs: int | None) -> None:
        super().__init__(epochs)
        self.epochs = epochs


class Watch:
    """Lets training run to its end; others listen and interfere."""

    def continued(self, history: Sequence[Epoch], own: bool) -> Verdict:
        """Training goes on from a checkpoint.

        Args:
            history: The epochs that it holds.
            own: Whether it was this trial that wrote it, and not a parent.
        """
        return "go"

    def epoch(self, epoch: Epoch, checkpoint: bool) -> Verdict:
        """An epoch ended.

        Args:
            epoch: What it gave.
            checkpoint: Whether a checkpoint of it is on disk.
        """
        return "go"

    def step(self, epoch: int, step: int, steps: int | None) -> bool:
        """Called before every step of training and validation, so it must cost next to nothing.

        Args:
            epoch: The epoch in progress, from 1.
            step: Steps of training done in it.
            steps: Steps of an epoch, or None where that is not known.

        Returns:
            Whether to stop, so that training can go on later.
        """
        return False

    def no_room(self, error: NoRoomError) -> bool:
        """A checkpoint does not fit on the disk.

        Args:
            error: Which, and what it needs.

        Returns:
            Whether to try again; else training stops and can go on from the last one.
        """
        return False
