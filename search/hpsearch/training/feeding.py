"""The order in which a network sees its images: a matter of a seed and the epoch alone, so that training can go on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

__all__ = ["Feed", "as_trained", "in_memory", "in_place", "scaled", "served", "validating"]

_ALIGNED = 64
"""TensorFlow uses memory that begins at a multiple of so many bytes."""


class Feed:
    """Batches of images in memory, shuffled anew in each epoch; the last batch of an epoch may be smaller.

    Args:
        x: What the network is given: rows (n, ...), or several of them by name.
        labels: What it is to answer (n, ...).
        batch_size: Images a step.
        seed: Where the shuffles start.
        at_once: Steps that the model does in one call, as ``compile(steps_per_execution=...)`` has it.
        like: The rows whose order they are served in, where they were computed of others; None is ``x`` itself.
    """

    def __init__(
        self, x: Any, labels: NDArray[Any], batch_size: int, seed: int, at_once: int = 1, like: Any = None
    ) -> None:
        self.x = keras.tree.map_structure(as_trained, x)
        self.labels = as_trained(labels)
        self.batch_size = batch_size
        self.seed = seed % 2**31
        self.steps = math.ceil(len(labels) / batch_size)
        self.at_once = at_once
        self.endless = False
        """Whether epochs come in one stream, which does not say where an epoch that began late ends."""
        self.batches: _Batches | None = None
        held = in_memory(self.x if like is None else like)
        self._by_tensorflow = held and self.divisible and keras.config.backend() == "tensorflow"

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
        if self._by_tensorflow and in_memory(self.x):
            self.endless = True
            return {"x": self._endless(epoch, step, epochs), "steps_per_epoch": self.steps, "shuffle": False}
        self.batches = _Batches(self, epoch, step)
        return {"x": self.batches, "shuffle": False}

    def rows(self, chosen: NDArray[np.int64] | slice) -> tuple[Any, NDArray[Any]]:
        """Some rows and their labels.

        Args:
            chosen: Their positions.
        """
        return keras.tree.map_structure(lambda each: each[chosen][:], self.x), self.labels[chosen]

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The order of the rows in an epoch.

        Args:
            epoch: Which, from 0.
        """
        count = len(self.labels)
        if self._by_tensorflow:
            return np.asarray(_shuffled(count, self.seed, epoch))
        return np.random.default_rng([self.seed, epoch]).permutation(count)

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

        def shuffled(number: Any) -> Any:
            return _shuffled(count, self.seed, number)

        def batches(order: Any) -> Any:
            whole = tf.data.Dataset.from_tensor_slices(tf.reshape(order[: full * size], [full, size]))
            return whole.concatenate(tf.data.Dataset.from_tensors(order[full * size :])) if count % size else whole

        def gathered(places: Any, data: Any) -> Any:
            return tf.nest.map_structure(lambda part: tf.gather(part, places, axis=0), data)

        options = tf.data.Options()
        # As Keras does for arrays: the graph of a pipeline that holds the data is not worth rewriting.
        options.experimental_optimization.apply_default_optimizations = False
        # Whoever tunes a pipeline sleeps, twice as long each time, and nobody can end a pipeline before he wakes: after
        # 24 s of training fit returned 20 s late.
        options.autotune.enabled = False
        return (
            tf.data.Dataset.zip(
                tf.data.Dataset.range(epoch, max(epochs, epoch + 1)).map(shuffled).flat_map(batches).skip(step),
                tf.data.Dataset.from_tensors(keras.tree.map_structure(in_place, (self.x, self.labels))).repeat(),
            )
            .map(gathered)
            .prefetch(2)
            .with_options(options)
        )


def in_place(array: NDArray[Any]) -> Any:
    """An array as a tensor of TensorFlow, not copied where it can be used in the memory that it lies in.

    So workers that share the data keep no copy of their own.

    Args:
        array: Of numbers.
    """
    import tensorflow as tf

    flags = array.flags
    if flags.c_contiguous and flags.writeable and array.size and array.ctypes.data % _ALIGNED == 0:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.convert_to_tensor(array)


def _shuffled(count: int, seed: int, epoch: Any) -> Any:
    import tensorflow as tf

    key = tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)])
    return tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), key)


def in_memory(x: Any) -> bool:
    """Whether all that a network is given is there; what is not is read batch by batch.

    Args:
        x: Rows, or several of them by name.
    """
    return all(isinstance(rows, np.ndarray) for rows in keras.tree.flatten(x))


def served(x: Any, y: NDArray[Any] | None, batch_size: int) -> dict[str, Any]:
    """What to hand to ``evaluate`` or ``predict``.

    Args:
        x: Rows (n, ...), or several of them by name.
        y: What they are to be compared with (n, ...), or None.
        batch_size: Rows a step.
    """
    if in_memory(x):
        return {"x": x, "batch_size": batch_size} | ({} if y is None else {"y": y})
    return {"x": _InOrder(x, y, batch_size)}


def validating(data: tuple[Any, NDArray[Any]] | None, batch_size: int) -> dict[str, Any]:
    """What to hand to ``fit`` to validate on.

    Args:
        data: Rows and their labels, or None.
        batch_size: Rows a step.
    """
    if data is None:
        return {}
    if in_memory(data[0]):
        return {"validation_data": data, "validation_batch_size": batch_size}
    return {"validation_data": _InOrder(*data, batch_size)}


def scaled(rows: Any, white: float) -> Any:
    """Images as floats from 0 to 1; a table as it is.

    Args:
        rows: (n, ...); pixels have four axes.
        white: What becomes 1.
    """
    if len(rows.shape) != 4:
        return rows
    if isinstance(rows, np.ndarray):
        return (rows / np.float32(white)).astype("float32")
    return _Changed(rows, lambda pixels: (pixels / np.float32(white)).astype("float32"))


class _Changed:
    """Rows that are changed when they are read."""

    def __init__(self, rows: Any, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        self._rows = rows
        self._change = change
        self.shape = rows.shape
        self.dtype = np.dtype("float32")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: Any) -> Any:
        return self._change(self._rows[chosen][:])


def as_trained(array: Any) -> Any:
    """Floats of the width that Keras calculates with, as it makes them of arrays itself; anything else as it is.

    Args:
        array: Rows, or what gives them when they are read.
    """
    if not isinstance(array, np.ndarray):
        return array
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
        self.order = self.feed.order(epoch)

    def __len__(self) -> int:
        return self.feed.steps - self.offset

    def __getitem__(self, step: int) -> tuple[NDArray[Any], NDArray[Any]]:
        place = step + self.offset
        chosen = self.order[place * self.feed.batch_size : (place + 1) * self.feed.batch_size]
        return self.feed.rows(chosen)


class _InOrder(keras.utils.PyDataset):  # type: ignore[misc]  # keras has no types
    """Rows batch by batch, as they are."""

    def __init__(self, x: Any, y: NDArray[Any] | None, batch_size: int) -> None:
        super().__init__()
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self) -> int:
        return math.ceil(len(keras.tree.flatten(self.x)[0]) / self.batch_size)

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        chosen = slice(step * self.batch_size, (step + 1) * self.batch_size)
        x = keras.tree.map_structure(lambda rows: rows[chosen][:], self.x)
        return (x,) if self.y is None else (x, self.y[chosen])
