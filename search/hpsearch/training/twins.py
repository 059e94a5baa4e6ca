"""A network like another one, of layers of its own: what is done to the one, the other knows nothing of."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import keras

from hpsearch.blocks.frozen import leaves

__all__ = ["told_by_configuration", "twin_of"]


def told_by_configuration(layer: Any) -> bool:
    """Whether what a layer does is told by its configuration and its weights; code of the user's own may change.

    Args:
        layer: A layer, or a model.
    """
    return type(layer).__module__.startswith("keras.") and not isinstance(layer, keras.layers.Lambda)


def twin_of(network: Any) -> Any:
    """A network that calculates as another one does, as soon as it has its weights.

    Args:
        network: A model that is built.

    Returns:
        It, not compiled; None where there is code of the user's own in the network, which may keep anything anywhere.
    """
    if not all(map(told_by_configuration, network._flatten_layers())):  # noqa: SLF001  # Keras shows layers of layers in no public way
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # of functions that had better not be saved, which nobody does
            twin = keras.models.clone_model(_plain(network), clone_function=_cloned, recursive=True)
    except Exception:  # noqa: BLE001  # a user's own function, say as an activation, need not be told by anything
        return None
    if _names(twin) != _names(network) or len(twin.variables) != len(network.variables):
        return None
    _take_after(twin, network)
    return twin


def _plain(network: Any) -> Any:
    """The same layers as a model that is not compiled; Keras would compile the clone of one that is."""
    if isinstance(network, keras.Sequential):  # which says what goes in and out only once it was called
        return keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    return keras.Model(network.input, network.output, name=network.name)


def _names(network: Any) -> list[str]:
    """What layers are called; inputs, which the clone has of its own, may be called anything or be left out."""
    return [layer.name for layer in _without_inputs(leaves(network))]


def _without_inputs(layers: Iterable[Any]) -> Iterator[Any]:
    return (layer for layer in layers if not isinstance(layer, keras.layers.InputLayer))


def _cloned(layer: Any) -> Any:
    """A layer, or an operation, of the same configuration."""
    config = layer.get_config()
    stilled = isinstance(layer, keras.layers.Dropout) and not layer.rate and hasattr(layer, "seed_generator")
    if not stilled:
        return type(layer).from_config(config)
    # It was frozen after it was made, and still has the random numbers that it would not be made with.
    clone = type(layer).from_config({**config, "rate": 0.5})
    clone.rate = layer.rate
    return clone


def _take_after(twin: Any, network: Any) -> None:
    """Have what the configuration of layers does not tell: types of models, what learns, what was looked up."""
    _adjust(twin, network)
    for mine, its in zip(twin.variables, network.variables, strict=True):
        mine.trainable = its.trainable


def _adjust(twin: Any, model: Any) -> None:
    """Adjust a model before its layers, for what is said of it is said of all that it has."""
    twin.dtype_policy, twin.trainable = model.dtype_policy, model.trainable
    for mine, its in zip(_without_inputs(twin.layers), _without_inputs(model.layers), strict=True):
        if isinstance(its, keras.Model):
            _adjust(mine, its)
            continue
        mine.trainable = its.trainable
        if isinstance(its, keras.layers.Normalization):
            mine.mean, mine.variance = its.mean, its.variance  # of adapted ones, variables that became plain arrays
