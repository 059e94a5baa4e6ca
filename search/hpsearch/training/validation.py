"""What finals say of the validation part, kept example by example."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.data.parts import Part
from hpsearch.training.build import Built
from hpsearch.training.fit import encoded
from hpsearch.training.inputs import Inputs
from hpsearch.training.scoring import AT_ONCE, probabilities

__all__ = ["keep_answers"]


def keep_answers(
    built: Built, part: Part, inputs: Inputs, folder: Path, labels: Path, tick: Callable[[], None]
) -> None:
    """Keep what a trained network says of validation, so that finals can be compared example by example.

    Args:
        built: The network, with the weights of its best epoch, and its recipe.
        part: The validation part (n).
        inputs: What the network was built for.
        folder: Takes ``validation.npz``: ``predictions``, float32, probabilities (n, classes) or amounts (n, 1).
        labels: Takes ``validation_labels.npz``: ``labels`` (n,), once for all networks.
        tick: Called before each batch; what it raises ends this.
    """
    x, _ = encoded(built, part, inputs)
    found = []
    for start in range(0, len(part), AT_ONCE):
        tick()
        some = keras.tree.map_structure(lambda rows, at=start: rows[at : at + AT_ONCE], x)
        found.append(np.asarray(keras.ops.convert_to_numpy(built.answering.predict_on_batch(some)), "float32"))
    outputs = np.concatenate(found)
    if inputs.classes:
        outputs = probabilities(outputs.astype("float64")).astype("float32")
    _save(labels / "validation_labels.npz", labels=part.labels)
    _save(folder / "validation.npz", predictions=outputs.reshape(len(part), -1))


def _save(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays so that a reader sees all of them or none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
