"""Batch normalisation, and how slowly its moving statistics follow."""

from __future__ import annotations

from typing import Any

from hpsearch.blocks.frozen import leaves
from hpsearch.declare import Maybe, Number

__all__ = ["MOMENTUM", "batchnorm", "follow"]

MOMENTUM = Maybe(Number(at_least=0, below=1))
"""None leaves the momentum to the number of steps of an epoch; whoever trains knows it and says it before building."""

_UNKNOWN = 0.9
"""For a network that is built without being trained."""


def batchnorm(x: Any, momentum: float | None, name: str) -> Any:
    """Apply batch normalisation.

    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
    ICML 2015.

    Args:
        x: A symbolic tensor, float.
        momentum: How slowly the moving statistics follow.
        name: The name of the layer.
    """
    from keras import layers

    return layers.BatchNormalization(momentum=_UNKNOWN if momentum is None else momentum, name=name)(x)


def follow(network: Any, momentum: float) -> None:
    """Have the moving statistics of a network that somebody else built follow as slowly as this.

    Args:
        network: A Keras model.
        momentum: How slowly.
    """
    from keras import layers

    for layer in leaves(network):
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = momentum
