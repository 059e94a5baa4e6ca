"""Features of a frozen body: computed once, kept in the cache, and what the heads of all trials with it train on."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.blocks.backbones import Backbone
from hpsearch.blocks.pretrained import Pretrained
from hpsearch.data.parts import Part, Rows
from hpsearch.errors import DataError
from hpsearch.recipe import Model
from hpsearch.training.build import Built
from hpsearch.training.kept import kept
from hpsearch.training.twins import told_by_configuration

__all__ = ["SWITCH", "Halves", "features_of", "halves"]

SWITCH = "HPSEARCH_FEATURES"
"""``off`` in this variable has every trial train on images, as one without a frozen body does."""

AT_ONCE = 64


@dataclass(frozen=True)
class Halves:
    """A network in two; together they hold its layers, so that what trains the head trains the network.

    Args:
        body: From raw pixels to features; it never learns.
        head: From features to answers, with the recipe of the whole.
    """

    body: Any
    head: Built

    @cached_property
    def digest(self) -> str:
        """What decides on the features of an image: every layer with its options and weights, and who computes."""
        found = hashlib.blake2b(digest_size=16)
        for said in _decisive(self.body):
            found.update(said)
            found.update(b"\0")
        return found.hexdigest()


def halves(built: Built) -> Halves | None:
    """A network behind its frozen body; None where that learns, or sees other images in every epoch, or mirrored ones.

    A global average or maximum that follows the body belongs to it, as it makes the features so much smaller.

    Args:
        built: The network and its recipe.
    """
    model, augment = built.recipe.model, built.recipe.training.augment
    if not isinstance(model, Model) or not isinstance(model.body, Backbone | Pretrained):
        return None
    if built.mirrored or not model.body.frozen or model.body.unfreeze_last:
        return None
    if augment is not None and augment.each_time:
        return None
    network = built.network
    if len(network.inputs) != 1 or len(network.inputs[0].shape) != 4:
        return None
    outputs = {node.operation.name: node for nodes in network._nodes_by_depth.values() for node in nodes}  # noqa: SLF001  # Keras shows calls in no public way
    body = next(layer for layer in network.layers if isinstance(layer, keras.Model))
    pooled = outputs.get(f"global_{model.pooling}")
    cut = (outputs[body.name] if pooled is None else pooled).outputs[0]
    front = keras.Model(network.inputs[0], cut, name="body")
    if front.trainable_weights or not all(map(told_by_configuration, front._flatten_layers())):  # noqa: SLF001  # as above
        return None
    return Halves(front, replace(built, network=keras.Model(cut, network.outputs[0], name="on_features")))


def features_of(network: Halves, part: Part, tick: Callable[[], None]) -> Part | None:
    """A part with its features in place of its images; None, with a line in the log, where they cannot be kept.

    Args:
        network: Its body computes them, and has not been trained since it was built.
        part: Images (n, height, width, channels); one that has no key is not kept.
        tick: Called between batches, and while another process computes the same; what it raises ends this.
    """
    if not part.key or os.environ.get(SWITCH, "").strip().lower() == "off":
        return None
    try:
        return Part({"features": _kept(network, part, tick)}, part.labels)
    except DataError as error:
        print(f"The features of the frozen body are not kept, so it is trained on images: {error}", flush=True)  # noqa: T201  # into the trial's log
        return None


def _kept(network: Halves, part: Part, tick: Callable[[], None]) -> Rows:
    shape = (len(part), *network.body.outputs[0].shape[1:])
    key = f"{network.digest} {part.key} {len(part)}"
    return kept("features", key, shape, np.dtype("<f4"), lambda: _computed(network.body, part), tick)


def _computed(body: Any, part: Part) -> Iterator[NDArray[Any]]:
    """Features batch by batch."""
    for start in range(0, len(part), AT_ONCE):
        found = keras.ops.cast(body.predict_on_batch(part.images[start : start + AT_ONCE][:]), "float32")
        yield keras.ops.convert_to_numpy(found).astype("<f4")


def _decisive(body: Any) -> Iterator[Any]:
    backend = keras.config.backend()
    yield f"1 {keras.__version__} {backend} {importlib.import_module(backend).__version__}".encode()
    yield body.to_json().encode()
    for weight in body.weights:
        yield np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).view("uint8").data
