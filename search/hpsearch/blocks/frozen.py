"""Freezing a network that stands within another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["freeze", "leaves", "thaw", "thaw_conflict"]


def thaw_conflict(frozen: bool, unfreeze_last: int) -> tuple[str, str] | None:
    """The sentence about layers to unfreeze where nothing is frozen.

    Args:
        frozen: Whether the network is frozen.
        unfreeze_last: How many of its last layers learn all the same.
    """
    if not frozen and unfreeze_last:
        return "unfreeze_last", "got layers to unfreeze although frozen=False unfreezes all; drop one of the two."
    return None


def freeze(network: Any, unfreeze_last: int) -> None:
    """Freeze what is to be frozen, and keep all of it in inference mode.

    Keras passes ``training=True`` on to a nested model even where it was called with ``training=False``, so each
    layer that behaves otherwise while training has to be told itself.

    Args:
        network: A Keras model; what it has within counts layer by layer.
        unfreeze_last: How many of its last layers learn all the same, batch normalisation left out.
    """
    from keras import layers

    every = list(leaves(network))
    learning = every[-unfreeze_last:] if unfreeze_last else []
    _let_learn(network, bool(learning))
    for layer in every:
        layer.trainable = any(layer is each for each in learning) and not isinstance(layer, layers.BatchNormalization)
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0


def thaw(network: Any) -> None:
    """Let all of a network learn, whatever was frozen when it was saved.

    Args:
        network: A Keras model.
    """
    _let_learn(network, True)
    for layer in leaves(network):
        layer.trainable = True


def _let_learn(model: Any, learns: bool) -> None:
    """Whether a model and the models within it have anything that learns."""
    import keras

    model.trainable = learns
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _let_learn(layer, learns)


def leaves(model: Any) -> Iterator[Any]:
    """The layers of a model, those of models within it in their place.

    Args:
        model: A Keras model.
    """
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer
