"""How much memory training a network takes, told from its layers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from hpsearch.training.network import Call, Tensor

__all__ = ["training_memory"]

PER_NETWORK = 5_000_000
"""Bytes that making a network ready takes, whatever its size.

This and the four below were fitted to trainings with TensorFlow on a CPU; see ``benchmarks/memory_estimate.py``.
"""

PER_CALL = 400_000
"""Bytes that the graph takes for a call of a layer."""

PER_LEARNING_CALL = 1_600_000
"""Bytes more that the graph takes for a call that has a gradient."""

BACKEND_COPIES = 2
"""How often the trained weights are there once more while the backend reads, multiplies and updates them."""

LARGEST_COPIES = 3
"""How often the largest trained kernel is there besides, while its gradient and its update are worked out."""

_VIEWS = ("Flatten", "Identity", "InputLayer", "Reshape")
"""Layers that give what they are given, in the same memory."""

_FORGETFUL = (
    *("Add", "Average", "AveragePooling2D", "Concatenate", "Cropping2D", "GlobalAveragePooling2D", "Permute"),
    *("Rescaling", "Resizing", "Subtract", "UpSampling2D", "ZeroPadding2D", *_VIEWS),
)
"""Layers whose gradient asks for nothing that they saw."""

_OVERWRITING = ("elu", "relu", "relu6", "selu", "sigmoid", "softmax", "tanh")
"""Activations whose gradient asks for what they gave; it stands where their input stood."""

_INNER = {"linear": 0, "gelu": 3, "mish": 3, "silu": 1, "softplus": 1, "leaky_relu": 1}
"""Tensors of the size of the output that other activations keep; one that is not named here keeps two."""


def training_memory(weights: Sequence[Any], done: Sequence[Call], *, batch: int, slots: int) -> int:
    """Estimate of the most bytes that training takes beyond what an idle process holds.

    The weights, a copy of those of the best epoch, what the optimizer keeps of each trained weight, and the larger of
    two moments: a step (what the layers keep for the way back, the gradients, what the layer at work needs besides)
    and a checkpoint (a copy of all that lasts). Layers below the first that is trained keep nothing. On a GPU the
    copies lie in the memory of the machine; they count all the same, so that a limit rejects the same networks
    everywhere. The images of the data set, which all trials of a process share, do not.

    Args:
        weights: The variables of the network.
        done: Its calls for one image.
        batch: Images in a step.
        slots: Numbers that the optimizer keeps for each trained weight.
    """
    trained = [weight for weight in weights if weight.trainable]
    held, gradients = _bytes(weights), _bytes(trained)
    lasting = held + slots * gradients
    activations, learning = _activations(done)
    step = gradients + batch * activations
    graph = PER_NETWORK + PER_CALL * len(done) + PER_LEARNING_CALL * learning
    largest = max((_bytes([weight]) for weight in trained), default=0)
    copies = BACKEND_COPIES * gradients + LARGEST_COPIES * largest
    return graph + lasting + held + copies + max(step, lasting + held)


def _bytes(weights: Sequence[Any]) -> int:
    return sum(Tensor(tuple(weight.shape), weight.dtype).bytes for weight in weights)


def _activations(done: Sequence[Call]) -> tuple[int, int]:
    """The most bytes that one image takes, and how many calls have a gradient.

    That is all that is kept for the way back, and what the largest layer handles.

    A backend that works on several layers at once may come to the gradient of a late kernel last; so nothing that is
    kept is taken to be given back before the end.
    """
    learning: set[Tensor] = set()
    kept: dict[Tensor, int] = {}
    stands_for: dict[Tensor, Tensor] = {}
    most = inner = calls = 0
    for call in done:
        given = [stands_for.get(tensor, tensor) for tensor in call.inputs]
        if type(call.layer).__name__ in _VIEWS and len(given) == len(call.outputs):
            stands_for.update(zip(call.outputs, given, strict=True))
        trained = any(weight.trainable for weight in call.weights)
        learns = trained or any(tensor in learning for tensor in call.inputs)
        if learns:
            learning.update(call.outputs)
            kept.update((tensor, tensor.bytes) for tensor in _kept(call, given, trained))
            inner += _inner(call)
            calls += 1
        most = max(most, _working(call, learns))
    return sum(kept.values()) + inner + most, calls


def _kept(call: Call, given: Sequence[Tensor], trained: bool) -> list[Tensor]:
    """What the gradient of a layer asks for, of what went in and came out."""
    layer, name = call.layer, type(call.layer).__name__
    if name in _FORGETFUL or isinstance(layer, keras.layers.Dropout):
        return []
    made = list(call.outputs) if _activation(layer) in _OVERWRITING else []
    if isinstance(layer, keras.layers.Activation | keras.layers.ReLU):
        return made
    if any(len(weight.shape) > 1 for weight in call.weights):
        return [*given, *made] if trained else made
    if isinstance(layer, keras.layers.BatchNormalization | keras.layers.LayerNormalization):
        return list(given)
    return [*given, *call.outputs]


def _working(call: Call, learns: bool) -> int:
    """What a layer handles while it works, on the way there or back.

    Batch normalisation was seen to take twice what goes in and comes out, and so was what is frozen; in what learns,
    that is within the margin of all that is taken to be kept.
    """
    size = sum(tensor.bytes for tensor in (*call.inputs, *call.outputs))
    return 2 * size if not learns or isinstance(call.layer, keras.layers.BatchNormalization) else size


def _inner(call: Call) -> int:
    """What a layer keeps beside what went in and came out."""
    size = sum(tensor.bytes for tensor in call.outputs)
    if isinstance(call.layer, keras.layers.Dropout):
        return sum(tensor.size for tensor in call.outputs)  # which of the values were left
    # What stands between the two convolutions of a separable one has the channels of its input.
    separable = isinstance(call.layer, keras.layers.SeparableConv2D)
    between = size * call.inputs[0].shape[-1] // call.outputs[0].shape[-1] if separable else 0
    activation = _activation(call.layer)
    plain = activation is None or activation in _OVERWRITING
    return between + (0 if plain else size * _INNER.get(str(activation), 2))


def _activation(layer: Any) -> str | None:
    """The activation that a layer applies, by name."""
    if isinstance(layer, keras.layers.ReLU):
        return "relu"
    return getattr(getattr(layer, "activation", None), "__name__", None)
