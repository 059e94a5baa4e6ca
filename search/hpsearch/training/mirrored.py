"""Answers for an image and for its mirror image, averaged: when a network is judged and used, not while it learns.

Probabilities are averaged, as Krizhevsky et al., "ImageNet classification with deep convolutional neural networks",
NeurIPS 2012, do with those of several views of an image.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

__all__ = ["both_ways", "learning_one_way"]


def both_ways(network: Any) -> Any:
    """A model of Keras's own layers that answers with the mean of what a network says of images and of their mirrors.

    Args:
        network: A functional model, of which some inputs are images.
    """
    given = {x.name: keras.Input(x.shape[1:], name=x.name, dtype=x.dtype) for x in network.inputs}
    views = [_as_taken(given), _as_taken(_mirrored(given))]
    answers = [network(view, training=False) for view in views]
    return keras.Model(views[0], layers.Average(name="mean", dtype="float32")(answers), name="both_ways")


def learning_one_way(network: Any) -> Any:
    """A model that answers as the network does while it is trained, and as `both_ways` does when it is validated.

    Args:
        network: A functional model, of which some inputs are images; its layers are shared.
    """
    given = {x.name: keras.Input(x.shape[1:], name=x.name, dtype=x.dtype) for x in network.inputs}
    return keras.Model(_as_taken(given), _Mirroring(network)(_as_taken(given)), name="learning")


class _Mirroring(keras.Model):  # type: ignore[misc]  # keras has no types
    """A network as a model within the model that is trained; it is never saved."""

    def __init__(self, network: Any) -> None:
        super().__init__(name="mirroring", dtype="float32")
        self.network = network

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        answers = self.network(inputs, training=training)
        if training:
            return answers
        return (answers + self.network(_mirrored(inputs), training=False)) / 2


def _mirrored(rows: Any) -> Any:
    """Images with left and right exchanged; a table as it is."""
    return keras.tree.map_structure(lambda x: ops.flip(x, axis=2) if len(x.shape) == 4 else x, rows)


def _as_taken(given: dict[str, Any]) -> Any:
    return given if len(given) > 1 else next(iter(given.values()))
