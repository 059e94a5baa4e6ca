"""Batch normalisation, and where its statistics for inference come from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hpsearch.blocks.frozen import leaves
from hpsearch.declare import Maybe, Number

__all__ = ["MOMENTUM", "batchnorm", "follow", "left_to_training"]

MOMENTUM = Maybe(Number(at_least=0, below=1))
"""None leaves the statistics to whoever trains, who finds them anew after every epoch."""

_LEFT = "statistics_left_to_training"


def batchnorm(x: Any, momentum: float | None, name: str, *, scale: bool = True) -> Any:
    """Apply batch normalisation.

    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
    ICML 2015.

    Args:
        x: A symbolic tensor, float.
        momentum: How slowly the moving statistics follow, or None.
        name: The name of the layer.
        scale: Whether each channel has a factor that is learned.
    """
    from keras import layers

    if momentum is not None:
        return layers.BatchNormalization(momentum=momentum, scale=scale, name=name)(x)
    layer = layers.BatchNormalization(scale=scale, name=name)
    _leave_to_training([layer])
    return layer(x)


def follow(network: Any, momentum: float | None) -> None:
    """Say where the statistics of a network come from that somebody else built.

    Args:
        network: A Keras model.
        momentum: How slowly the moving statistics follow, or None.
    """
    found = _normalising(network)
    if momentum is None:
        _leave_to_training(found)
        return
    for layer in found:
        layer.momentum = momentum


def left_to_training(network: Any) -> list[Any]:
    """The layers of batch normalisation whose statistics are found anew after every epoch.

    Args:
        network: A Keras model, as it was built here; one that was loaded from a file has none.
    """
    return [layer for layer in _normalising(network) if getattr(layer, _LEFT, False) and layer.trainable]


def _normalising(network: Any) -> list[Any]:
    from keras import layers

    return [layer for layer in leaves(network) if isinstance(layer, layers.BatchNormalization)]


def _leave_to_training(found: Iterable[Any]) -> None:
    for layer in found:
        setattr(layer, _LEFT, True)
