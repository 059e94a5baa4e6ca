"""Fixed copies: augmentation that is drawn once, so that what is computed of the images can be kept."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.blocks.augment import Augment
from hpsearch.data.parts import Part, Rows
from hpsearch.declare import source
from hpsearch.errors import DataError
from hpsearch.training.kept import kept

__all__ = ["copied"]

AT_ONCE = 64


def copied(part: Part, augment: Augment | None, white: float, tick: Callable[[], None]) -> Part:
    """A part as so many copies of it, one after the other, its images changed at random; itself if there are none.

    What is drawn depends on the images and the augmentation alone, so that all trials see the same copies.

    Args:
        part: Images (n, height, width, channels) and, maybe, tables.
        augment: What says how many copies, and how they are changed.
        white: The pixel value that stands for white.
        tick: Called between batches; what it raises ends this.
    """
    if augment is None or not augment.copies or not augment.active:
        return part
    count = augment.copies
    backend = keras.config.backend()
    version = importlib.import_module(backend).__version__
    drawn = f"{source(augment)} white {white} keras {keras.__version__} {backend} {version}"
    key = f"{part.key} as {drawn}" if part.key else ""
    inputs: dict[str, Rows] = {}
    for place, (name, rows) in enumerate(part.inputs.items()):
        if len(rows.shape) == 4:
            said = f"{key} {name}" if key else ""
            inputs[name] = _images(said, rows, augment, white, 10 * place, tick)
        else:
            inputs[name] = np.concatenate([rows[:]] * count)
    return Part(inputs, np.concatenate([part.labels] * count), key=key)


def _images(key: str, rows: Rows, augment: Augment, white: float, seed: int, tick: Callable[[], None]) -> Rows:
    count = augment.copies or 1

    def batches() -> Iterator[NDArray[Any]]:
        layers = augment.build(white, seed)
        for _ in range(count):
            for start in range(0, len(rows), AT_ONCE):
                yield _changed(rows[start : start + AT_ONCE][:], layers)

    if key:
        try:
            return kept("copies", key, (len(rows) * count, *rows.shape[1:]), rows.dtype, batches, tick)
        except DataError as error:
            print(f"The copies of the images are not kept, but drawn anew: {error}", flush=True)  # noqa: T201  # into the trial's log
    drawn = []
    for batch in batches():
        tick()
        drawn.append(batch)
    return np.concatenate(drawn)


def _changed(images: NDArray[Any], layers: list[Any]) -> NDArray[Any]:
    x = keras.ops.convert_to_tensor(images, "float32")
    for layer in layers:
        x = layer(x, training=True)
    found: NDArray[Any] = keras.ops.convert_to_numpy(x)
    if images.dtype.kind == "u":
        found = np.clip(np.rint(found), 0, np.iinfo(images.dtype).max)
    return found.astype(images.dtype)
