"""The front of an exported model: Keras layers that make the vector of a table from its columns.

They are Keras's own, `Normalization` and `StringLookup`, and do in the exported model what `hpsearch.data.encoding`
does before training; whatever an export says is compared with what the network said in training. Texts are looked up by
TensorFlow, whatever Keras itself runs on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from hpsearch.data.encoding import Encoding
from hpsearch.data.tables import TABLE
from hpsearch.training.apart import on_tensorflow

__all__ = ["joined_model", "save_joined"]


def joined_model(network: Any, encoding: Encoding) -> Any:
    """A network behind the layers that make its table.

    Args:
        network: A network, one of whose inputs is the table.
        encoding: How columns become numbers.

    Returns:
        A model that takes a dict: each column by its name (batch, 1), float32 with NaN where a number is missing, or
        texts, empty where one is missing; and the other inputs of the network as they are.
    """
    columns, table = _front(encoding)
    others = {
        given.name: keras.Input(given.shape[1:], name=given.name, dtype=given.dtype)
        for given in network.inputs
        if given.name != TABLE
    }
    given = {**others, **columns}
    outputs = network({TABLE: table, **others} if others else table, training=False)
    return keras.Model(given if len(given) > 1 else next(iter(given.values())), outputs, name="model")


def _front(encoding: Encoding) -> tuple[dict[str, Any], Any]:
    """The columns, and what they become (batch, width)."""
    columns: dict[str, Any] = {name: keras.Input((1,), name=name, dtype="float32") for name in encoding.numeric}
    columns |= {name: keras.Input((1,), name=name, dtype="string") for name in encoding.categories}
    parts: list[Any] = []
    if encoding.numeric:
        numbers = _together([columns[name] for name in encoding.numeric], "numbers")
        scale = layers.Normalization(
            mean=list(encoding.means), variance=list(encoding.variances), name="normalise", dtype="float32"
        )
        # The mean, which becomes 0, stands for what is missing.
        parts.append(ops.nan_to_num(scale(numbers), nan=0.0))
    parts += [ops.cast(ops.isnan(columns[name]), "float32") for name in encoding.gaps]
    for place, (name, known) in enumerate(encoding.categories.items(), start=1):
        look_up = layers.StringLookup(
            vocabulary=["", *known],
            num_oov_indices=1,
            mask_token=None,
            output_mode="one_hot",
            dtype="float32",
            name=f"categories{place}",
        )
        parts.append(look_up(columns[name]))
    return columns, _together(parts, "encoded")


def _together(parts: list[Any], name: str) -> Any:
    return parts[0] if len(parts) == 1 else layers.Concatenate(name=name, dtype="float32")(parts)


def save_joined(network: Any, encoding: Encoding, path: Path, *, apart: bool | None = None) -> None:
    """Save a network behind the layers that make its table.

    Args:
        network: A network, one of whose inputs is the table.
        encoding: How columns become numbers.
        path: The ``.keras`` file to write.
        apart: Whether a process that runs on TensorFlow puts them together; None: where texts are looked up and Keras
            runs on something else.

    Raises:
        RunError: That takes TensorFlow, which is not installed, or the process failed.
    """
    if apart is None:
        apart = bool(encoding.categories) and keras.config.backend() != "tensorflow"
    if not apart:
        joined_model(network, encoding).save(path)
        return
    alone = path.with_suffix(".network.keras")
    try:
        network.save(alone)
        on_tensorflow(_join_files, alone, encoding, path)
    finally:
        alone.unlink(missing_ok=True)


def _join_files(alone: Path, encoding: Encoding, path: Path) -> None:
    save_joined(keras.saving.load_model(alone, compile=False), encoding, path, apart=False)
