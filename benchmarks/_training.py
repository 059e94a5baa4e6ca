"""What scripts share that train without a study: images of noise, and who notes how long epochs take."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpsearch.data.parts import Part, image_part
from hpsearch.training.watch import Watch

__all__ = ["Seconds", "noise"]


class Seconds(Watch):
    """Notes how long each epoch took."""

    def __init__(self) -> None:
        self.epochs: list[float] = []

    def epoch(self, epoch: Any, checkpoint: bool) -> Any:  # the method's own
        """Note it."""
        self.epochs.append(epoch.seconds)
        return "go"


def noise(count: int, seed: int) -> Part:
    """Images of noise with a trace of their class; seconds do not depend on what is in them.

    Args:
        count: How many.
        seed: Of the numbers.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    images = (rng.integers(0, 200, (count, 32, 32, 3)) + 5 * labels[:, None, None, None]).astype("uint8")
    return image_part(images, labels.astype("int64"))
