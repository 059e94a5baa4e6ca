"""What scripts share that train without a study: a network, images of noise, and who notes how long epochs take."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpsearch import SGD, ConvNet, Model, Recipe, Stage, Training
from hpsearch.data.parts import Part, image_part
from hpsearch.training.watch import Watch

__all__ = ["Seconds", "network", "noise"]


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


def network(widths: tuple[int, ...], epochs: int, batch: int, precision: str = "float32") -> Recipe:
    """A network of two convolutions a stage.

    Args:
        widths: Filters of each stage.
        epochs: How long it is trained.
        batch: Images a step.
        precision: Bits.
    """
    stages = [Stage(filters=(width, width)) for width in widths]
    return Recipe(
        model=Model(
            body=ConvNet(stages=stages, batchnorm="before_activation", batchnorm_momentum=0.9), pooling="average"
        ),
        training=Training(
            epochs=epochs,
            batch_size=batch,
            optimizer=SGD(learning_rate=0.1, momentum=0.9),
            precision=precision,
        ),
    )
