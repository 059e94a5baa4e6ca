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
from hpsearch.training.names import input_names

__all__ = ["exported_names", "joined_model", "save_joined"]


def joined_model(network: Any, encoding: Encoding | None) -> Any:
    """A network behind the layers that make its table, its inputs called as `hpsearch.training.names` allows.

    Args:
        network: A network; one of its inputs is the table where there is one.
        encoding: How columns become numbers; None where the network reads no table.

    Returns:
        A model that takes a dict: each column by its name (batch, 1), float32 with NaN where a number is missing, or
        texts, empty where one is missing; and the other inputs of the network as they are.
    """
    others = {given.name: given for given in network.inputs if encoding is None or given.name != TABLE}
    called = exported_names(network, encoding)
    given: dict[str, Any] = {
        called[name]: keras.Input(like.shape[1:], name=called[name], dtype=like.dtype) for name, like in others.items()
    }
    inner = {name: given[called[name]] for name in others}
    if encoding is not None:
        columns = {name: keras.Input((1,), name=called[name], dtype="float32") for name in encoding.numeric}
        columns |= {name: keras.Input((1,), name=called[name], dtype="string") for name in encoding.categories}
        given |= {called[name]: column for name, column in columns.items()}
        inner[TABLE] = _encoded(columns, encoding)
    outputs = network(inner if len(inner) > 1 else next(iter(inner.values())), training=False)
    return keras.Model(given if len(given) > 1 else next(iter(given.values())), outputs, name="model")


def exported_names(network: Any, encoding: Encoding | None) -> dict[str, str]:
    """What the inputs of an exported model are called, by the names that the data has for them.

    Args:
        network: A network; one of its inputs is the table where there is one.
        encoding: How columns become numbers; None where the network reads no table.
    """
    names = [given.name for given in network.inputs if encoding is None or given.name != TABLE]
    return input_names([*names, *(encoding.columns if encoding is not None else ())])


def _encoded(columns: dict[str, Any], encoding: Encoding) -> Any:
    """What columns (batch, 1) become (batch, width); no input may be called as a layer is, see `input_names`."""
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
    return _together(parts, "encoded")


def _together(parts: list[Any], name: str) -> Any:
    return parts[0] if len(parts) == 1 else layers.Concatenate(name=name, dtype="float32")(parts)


def save_joined(network: Any, encoding: Encoding | None, path: Path, *, apart: bool | None = None) -> None:
    """Save a network behind the layers that make its table.

    Args:
        network: A network; one of its inputs is the table where there is one.
        encoding: How columns become numbers; None where the network reads no table.
        path: The ``.keras`` file to write.
        apart: Whether a process that runs on TensorFlow puts them together; None: where texts are looked up and Keras
            runs on something else.

    Raises:
        RunError: That takes TensorFlow, which is not installed, or the process failed.
    """
    if apart is None:
        apart = encoding is not None and bool(encoding.categories) and keras.config.backend() != "tensorflow"
    if not apart:
        joined_model(network, encoding).save(path)
        return
    alone = path.with_suffix(".network.keras")
    try:
        network.save(alone)
        on_tensorflow(_join_files, alone, encoding, path)
    finally:
        alone.unlink(missing_ok=True)


def _join_files(alone: Path, encoding: Encoding | None, path: Path) -> None:
    save_joined(keras.saving.load_model(alone, compile=False), encoding, path, apart=False)
