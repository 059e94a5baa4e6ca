"""The order in which a network sees its images: a matter of a seed and the epoch alone, so that training can go on."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

__all__ = ["Feed"]


class Feed:
    """Batches of images in memory, shuffled anew in each epoch; the last batch of an epoch may be smaller.

    Args:
        images: What the network is given (n, ...).
        labels: What it is to answer (n, ...).
        batch_size: Images a step.
        seed: Where the shuffles start.
        at_once: Steps that the model does in one call, as ``compile(steps_per_execution=...)`` has it.
    """

    def __init__(
        self, images: NDArray[Any], labels: NDArray[Any], batch_size: int, seed: int, at_once: int = 1
    ) -> None:
        self.images = _as_trained(images)
        self.labels = _as_trained(labels)
        self.batch_size = batch_size
        self.seed = seed % 2**31
        self.steps = math.ceil(len(labels) / batch_size)
        self.at_once = at_once
        self.endless = False
        """Whether epochs come in one stream, which does not say where an epoch that began late ends."""
        self.batches: _Batches | None = None

    @property
    def divisible(self) -> bool:
        """Whether training may stop and go on within an epoch: where each call of the model ends at a step of ours."""
        return self.steps % self.at_once == 0

    def options(self, epoch: int, step: int, epochs: int) -> dict[str, Any]:
        """What to hand to ``fit``.

        Args:
            epoch: The first epoch that is trained, from 0.
            step: Steps of it that are done already.
            epochs: The last epoch, from 1.
        """
        if keras.config.backend() == "tensorflow" and self.divisible:
            self.endless = True
            return {"x": self._endless(epoch, step, epochs), "steps_per_epoch": self.steps, "shuffle": False}
        self.batches = _Batches(self, epoch, step)
        return {"x": self.batches, "shuffle": False}

    def begin(self, epoch: int) -> None:
        """An epoch begins.

        Args:
            epoch: Which, from 0.
        """
        if self.batches is not None:
            self.batches.begin(epoch)

    def _endless(self, epoch: int, step: int, epochs: int) -> Any:
        """One stream of all epochs, made of TensorFlow's own operations: as quick as what Keras makes of arrays."""
        import tensorflow as tf

        count, size, full = len(self.labels), self.batch_size, len(self.labels) // self.batch_size
        seed = tf.constant(self.seed, tf.int64)

        def shuffled(number: Any) -> Any:
            return tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), tf.stack([seed, number]))

        def batches(order: Any) -> Any:
            whole = tf.data.Dataset.from_tensor_slices(tf.reshape(order[: full * size], [full, size]))
            return whole.concatenate(tf.data.Dataset.from_tensors(order[full * size :])) if count % size else whole

        def gathered(places: Any, data: Any) -> Any:
            return tuple(tf.gather(part, places, axis=0) for part in data)

        options = tf.data.Options()
        # As Keras does for arrays: the graph of a pipeline that holds the data is not worth rewriting.
        options.experimental_optimization.apply_default_optimizations = False
        return (
            tf.data.Dataset.zip(
                tf.data.Dataset.range(epoch, max(epochs, epoch + 1)).map(shuffled).flat_map(batches).skip(step),
                tf.data.Dataset.from_tensors((self.images, self.labels)).repeat(),
            )
            .map(gathered, num_parallel_calls=tf.data.AUTOTUNE)
            .with_options(options)
            .prefetch(tf.data.AUTOTUNE)
        )


def _as_trained(array: NDArray[Any]) -> NDArray[Any]:
    """Floats of the width that Keras calculates with, as it makes them of arrays itself; anything else as it is."""
    width = keras.config.floatx()
    return array.astype(width) if array.dtype.kind == "f" and array.dtype.name != width else array


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]  # keras has no types
    """The batches of one epoch after another; the first epoch begins where it was left."""

    def __init__(self, feed: Feed, epoch: int, step: int) -> None:
        super().__init__()
        self.feed = feed
        self.first = epoch
        self.step = step
        self.begin(epoch)
        self.offset = 0  # Keras asks now how many steps an epoch has, and once more when one has begun

    def begin(self, epoch: int) -> None:
        self.offset = self.step if epoch == self.first else 0
        self.order = np.random.default_rng([self.feed.seed, epoch]).permutation(len(self.feed.labels))

    def __len__(self) -> int:
        return self.feed.steps - self.offset

    def __getitem__(self, step: int) -> tuple[NDArray[Any], NDArray[Any]]:
        place = step + self.offset
        chosen = self.order[place * self.feed.batch_size : (place + 1) * self.feed.batch_size]
        return self.feed.images[chosen], self.feed.labels[chosen]
