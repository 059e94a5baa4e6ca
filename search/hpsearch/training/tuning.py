"""Which layers of a network learn in which phase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from hpsearch.blocks.frozen import leaves
from hpsearch.phases import FineTune

__all__ = ["Layers"]


class Layers:
    """The layers of a network, and what is frozen of them as it was built.

    Args:
        network: A built Keras model.
    """

    def __init__(self, network: Any) -> None:
        # Parents stand before their parts, which what is said of the parents would overwrite.
        every = network._flatten_layers(include_self=False) if isinstance(network, keras.Model) else ()  # noqa: SLF001  # in order, parts included
        self._as_built = [(layer, layer.trainable) for layer in every]
        learning = [layer for layer in every if layer.trainable]
        self._fixed = [variable for layer in learning for variable in layer.variables if not variable.trainable]
        self.frozen = list(_frozen(network))
        """Each backbone that is frozen in whole or in part, as its layers in order."""

    def learn(self, tuning: FineTune | None) -> None:
        """Let those learn that learn in a phase.

        Args:
            tuning: What is unfrozen; None is the network as it was built.
        """
        for layer, trainable in self._as_built:
            layer.trainable = trainable
        for variable in self._fixed:  # a layer that learns may hold weights that do not
            variable.trainable = False
        for backbone in self.frozen if tuning is not None else ():
            self._unfreeze(backbone, tuning.unfreeze_last if tuning is not None else None)

    def _unfreeze(self, backbone: list[Any], last: int | None) -> None:
        within = {id(layer) for layer in backbone}
        for layer, _ in self._as_built:
            if isinstance(layer, keras.Model) and any(id(leaf) in within for leaf in leaves(layer)):
                layer.trainable = True
        learning = backbone if last is None else backbone[-last:]
        kept = [layer for layer in backbone if not any(layer is each for each in learning)]
        for layer in learning:
            layer.trainable = True
            for part in layer._flatten_layers():  # noqa: SLF001  # see above
                if isinstance(part, keras.layers.BatchNormalization):
                    part.trainable = False
        for layer in kept:
            layer.trainable = False


def _frozen(network: Any) -> Iterator[list[Any]]:
    """The layers of each model within the network that is frozen in whole or in part; and those frozen beside them."""
    beside: list[Any] = []
    for layer in getattr(network, "layers", ()):
        within = list(leaves(layer)) if isinstance(layer, keras.Model) else [layer]
        if not any(leaf.weights and not leaf.trainable for leaf in within):
            continue
        if isinstance(layer, keras.Model):
            yield within
        else:
            beside.append(layer)
    if beside:
        yield beside
