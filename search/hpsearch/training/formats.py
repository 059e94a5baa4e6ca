"""A ``.keras`` file written in other formats by Keras's own exporters, in a process that runs on TensorFlow.

``python -m hpsearch.training.formats MODEL PROBE FORMAT=PATH ...`` prints a line of JSON for each format: how far the
answers may be apart, or why there is no such file: what went wrong, or the texts that the format cannot hold.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hpsearch.training.converted import plain_name
from hpsearch.training.precision import all_layers, sixteen_bits, tolerance_of

__all__ = ["main"]


def main(arguments: Sequence[str]) -> None:
    """Write a model in some formats.

    Args:
        arguments: The ``.keras`` file, the ``.npz`` file with its probe, and for each format its name and the path to
            write, as ``onnx=model.onnx``.
    """
    model, probe, *wanted = arguments
    network = keras.saving.load_model(model, compile=False)
    texts = [entry.name for entry in network.inputs if keras.backend.standardize_dtype(entry.dtype) == "string"]
    tolerance = tolerance_of(network)
    if sixteen_bits(network):
        network = _with_32_bits(network)
    _hold_still(network)
    standing = _standing(network)
    standing(_first_rows(network, Path(probe)))  # some exporters know a model only once it was called
    for each in wanted:
        kind, path = each.split("=", 1)
        said: dict[str, Any] = {"format": kind, "tolerance": tolerance}
        if texts and kind != "tf_saved_model":
            said["texts"] = texts
        else:
            try:
                with _plain_gelu(kind == "onnx"):
                    standing.export(path, format=kind, verbose=False)
            except Exception as error:  # noqa: BLE001  # converters raise whatever they meet
                said["problem"] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        print(f"\n{_MARK}{json.dumps(said)}", flush=True)  # noqa: T201  # that is the answer


_MARK = "hpsearch format "


def _standing(network: Any) -> Any:
    """The network in inference mode throughout: layers such as ``Resizing`` would hand on that it is trained."""
    given = {x.name: keras.Input(x.shape[1:], name=plain_name(x.name), dtype=x.dtype) for x in network.inputs}
    if len(given) == 1:
        (alone,) = given.values()
        return keras.Model(alone, network(alone, training=False), name="model")
    named = {plain_name(name): each for name, each in given.items()}
    return keras.Model(named, network(given, training=False), name="model")


def _hold_still(network: Any) -> None:
    """Let the numbers of a normalisation be constants of the graph, which the ONNX converter takes for inputs else."""
    for layer in all_layers(network):
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is not None:
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)


@contextmanager
def _plain_gelu(wanted: bool) -> Iterator[None]:
    """While it is wanted, GELU by an operation that ONNX has; TensorFlow's own is of another."""
    import tensorflow as tf

    before = tf.nn.gelu

    def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Any:
        if approximate:
            return before(features, approximate, name)
        return 0.5 * features * (1.0 + tf.math.erf(features / tf.cast(math.sqrt(2.0), features.dtype)))

    if wanted:
        tf.nn.gelu = gelu
    try:
        yield
    finally:
        tf.nn.gelu = before


def _with_32_bits(network: Any) -> Any:
    text = json.dumps(keras.saving.serialize_keras_object(network))
    for policy in ("mixed_float16", "mixed_bfloat16"):
        text = text.replace(f'"{policy}"', '"float32"')
    again = keras.saving.deserialize_keras_object(json.loads(text))
    again.set_weights(network.get_weights())
    return again


def _first_rows(network: Any, probe: Path) -> Any:
    import tensorflow as tf

    with np.load(probe) as archive:
        rows = {plain_name(x.name): archive[f"inputs/{x.name}"][:2] for x in network.inputs}
    given = {
        name: tf.constant(each if each.dtype.kind == "U" else each.astype("float32")) for name, each in rows.items()
    }
    return given if len(given) > 1 else next(iter(given.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
