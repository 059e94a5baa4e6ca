"""Statistics of batch normalisation that can be trusted after every epoch.

Moving averages lag behind the weights, and mix in what a network saw when it began. After each epoch they are replaced
by the averages over a few hundred training images as the network now sees them, without dropout and augmentation: Wu
and Johnson, "Rethinking batch in batch normalization", 2021, call that precise statistics. A network so treated scores
higher on validation from the first epoch on, and its learning curve jumps less, so that it can be judged earlier.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any

import keras
import numpy as np

from hpsearch.blocks.batchnorm import left_to_training

__all__ = ["BATCHES", "IMAGES", "ROWS", "Statistics"]

IMAGES = 256
"""Of so many images the statistics are found; of more they are hardly better."""
ROWS = 4096
"""The same of rows without images, each of which is but one sample of every channel."""
BATCHES = 4
"""So many batches of training go through the network at a time: without gradients they take no more memory than one."""


class Statistics:
    """Finds the statistics of a network anew.

    Args:
        network: The network; layers whose momentum the recipe says, and frozen ones, are left alone.
        x: What it is trained on: rows (n, ...), or several of them by name.
        batch_size: Rows a step of training.
    """

    def __init__(self, network: Any, x: Any, batch_size: int) -> None:
        self._network = network
        self._layers = left_to_training(network)
        first = keras.tree.flatten(x)[0]
        images = any(len(rows.shape) == 4 for rows in keras.tree.flatten(x))
        most = min(IMAGES if images else ROWS, len(first))
        self._chunk = min(most, BATCHES * batch_size)
        chosen = np.sort(np.random.default_rng(0).choice(len(first), most, replace=False))
        self._rows = keras.tree.map_structure(lambda rows: rows[chosen][:], x)
        self._starts = range(0, most, self._chunk)

    def find(self) -> None:
        """Replace the statistics; nothing else of the network changes."""
        if not self._layers:
            return
        with _normalising_by_batches(self._layers), _no_gradients():
            for number, start in enumerate(self._starts):
                for layer in self._layers:
                    layer.momentum = number / (number + 1)  # what is averaged is the mean of all batches so far
                rows = slice(start, start + self._chunk)
                self._network(keras.tree.map_structure(lambda each, rows=rows: each[rows], self._rows), training=False)


@contextmanager
def _normalising_by_batches(layers: list[Any]) -> Iterator[None]:
    """While this lasts, these layers do what they do in training, whatever the network is told."""
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.call = _as_in_training(layer.call)
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            del layer.call
            layer.momentum = momentum


def _as_in_training(call: Any) -> Any:
    def as_in_training(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:  # noqa: ARG001  # Keras's
        return call(inputs, training=True, mask=mask)

    return as_in_training


def _no_gradients() -> Any:
    return import_module("torch").no_grad() if keras.config.backend() == "torch" else nullcontext()
