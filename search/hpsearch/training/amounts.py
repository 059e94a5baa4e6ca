"""Amounts: a network tells them in standard deviations, and its last layer gives them their unit again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LAYER", "in_units", "standardise", "unit_of"]

LAYER = "amount"
"""The name of the layer that gives amounts their unit."""


def in_units(x: Any) -> Any:
    """Amounts in their unit, once `standardise` has said which.

    Args:
        x: A symbolic tensor (batch, 1): amounts in standard deviations from their mean.
    """
    from keras import layers

    return layers.Rescaling(1.0, offset=0.0, name=LAYER, dtype="float32")(x)


def standardise(network: Any, labels: NDArray[Any]) -> None:
    """Tell the network the mean and the standard deviation of what it will be trained on; they are exported with it.

    Args:
        network: A network that ends in `in_units`; it must not have been called on data yet.
        labels: Amounts of the training part (n,).
    """
    deviation = float(np.std(labels, dtype="float64"))
    layer = network.get_layer(LAYER)
    layer.scale, layer.offset = deviation or 1.0, float(np.mean(labels, dtype="float64"))


def unit_of(network: Any) -> tuple[float, float]:
    """The standard deviation and the mean that a network was told; 1 and 0 where it was told none.

    Args:
        network: Any Keras model.
    """
    layer = next((each for each in network.layers if each.name == LAYER), None)
    return (1.0, 0.0) if layer is None else (layer.scale, layer.offset)
