"""How large a network is and what it costs, before anything of it is allocated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras

from hpsearch.errors import HpsearchError
from hpsearch.phases import Phase, phases_of
from hpsearch.recipe import HyperModel, Recipe, Training
from hpsearch.training.build import Built, build_network, without_weights
from hpsearch.training.inputs import Inputs
from hpsearch.training.memory import training_memory
from hpsearch.training.network import Call, Tensor, calls
from hpsearch.training.precision import calculating
from hpsearch.training.tuning import Layers
from hpsearch.training.unallocated import unallocated, without_a_trace

__all__ = ["Measures", "measure", "measure_network"]


@dataclass(frozen=True)
class Measures:
    """What a network is and takes.

    Args:
        parameters: How many it has, frozen ones included; what Keras counts.
        flops: Floating-point operations of one row of data, such as one image, through it, forward: two for a
            multiplication with its addition, over every layer with a kernel. Biases, normalisation, activations and
            pools are left out, as they are in the figures that papers give. With flip averaging that is twice.
        memory: Estimate of the most bytes that training it takes at its batch size; see ``training_memory``.
    """

    parameters: int
    flops: int
    memory: int


def measure(recipe: Recipe, inputs: Inputs) -> Measures:
    """Measure the network of a recipe without allocating it, whatever its size, and without its pretrained weights.

    Names and random numbers that networks get later are what they would have been without it.

    Args:
        recipe: A recipe without domains whose model is declared.
        inputs: What the network is built for.

    Raises:
        ModelError: It does not fit the data; the address begins with ``model``.
        UserCodeError: A user's own block raised.
    """
    if isinstance(recipe.model, HyperModel):
        raise TypeError("a build(hp) allocates what it builds; give what it returns to measure_network.")
    training, model = recipe.training, without_weights(recipe.model)
    phases = [(phase, _slots(_maker(phase, training))) for phase in phases_of(training, model)]

    def measured() -> Measures:
        with calculating(training):
            network = build_network(model, inputs)
        found = _largest([_of_phase(network, phase, inputs, training.batch_size, slots) for phase, slots in phases])
        return _answering(found, Built(network, recipe))

    try:
        with unallocated():
            return measured()
    except HpsearchError as error:
        if "stateless scope" not in str(error):
            raise
    # A block of the user's own that makes a variable from an array can only be built as it is.
    with without_a_trace():
        return measured()


def measure_network(network: Any, recipe: Recipe, inputs: Inputs) -> Measures:
    """Measure a network that was built.

    Args:
        network: A built Keras model; its own optimizer counts where it is compiled.
        recipe: The recipe that gives it.
        inputs: What it was built for.
    """
    own = network.optimizer if getattr(network, "compiled", False) else None
    phase = phases_of(recipe.training, recipe.model)[0]
    make = _maker(phase, recipe.training) if own is None else lambda: type(own).from_config(own.get_config())
    return _answering(_measured(network, inputs, recipe.training.batch_size, _slots(make)), Built(network, recipe))


def _answering(once: Measures, built: Built) -> Measures:
    """What a network takes where an answer may take two passes through it."""
    return replace(once, flops=2 * once.flops) if built.mirrored else once


def _of_phase(network: Any, phase: Phase, inputs: Inputs, batch: int, slots: int) -> Measures:
    """What a network takes in one phase; it is left with what learns in that phase."""
    if phase.tuning is not None:
        Layers(network).learn(phase.tuning)
    return _measured(network, inputs, batch, slots)


def _largest(phases: list[Measures]) -> Measures:
    """What the phase takes that takes most memory; all else is the same for each."""
    return max(phases, key=lambda measures: measures.memory)


def _measured(network: Any, inputs: Inputs, batch: int, slots: int) -> Measures:
    done = calls(network, inputs.features)
    return Measures(
        parameters=int(network.count_params()),
        flops=sum(_flops(call) for call in done),
        memory=training_memory(network.weights, done, batch=batch, slots=slots),
    )


def _maker(phase: Phase, training: Training) -> Callable[[], Any]:
    return lambda: phase.optimizer.build(average=training.average)


def _slots(make: Callable[[], Any]) -> int:
    """How many numbers an optimizer keeps for each weight that it trains, such as two for Adam."""
    shape = (5, 7)
    with without_a_trace():
        optimizer = make()
        optimizer.build([keras.Variable("zeros", shape=shape, name="weight")])
        return sum(tuple(variable.shape) == shape for variable in optimizer.variables)


def _flops(call: Call) -> int:
    """A kernel is applied at every place of the output, or of the input where what stands there is spread."""
    kernels: list[int] = [math.prod(weight.shape) for weight in call.weights if len(weight.shape) > 1]
    if not kernels or not call.inputs or isinstance(call.layer, keras.layers.Embedding):
        return 0
    if isinstance(call.layer, keras.layers.EinsumDense):
        return 2 * int(_einsum_multiplications(call))
    spread = isinstance(call.layer, keras.layers.Conv1DTranspose | keras.layers.Conv2DTranspose)
    tensor = call.inputs[0] if spread or not call.outputs else call.outputs[0]
    return 2 * sum(kernels) * _places(tensor, call.layer)


def _places(tensor: Tensor, layer: Any) -> int:
    """How many positions a tensor has, its channels left out."""
    first = getattr(layer, "data_format", None) == "channels_first"
    return math.prod(tensor.shape[1:] if first else tensor.shape[:-1])


def _einsum_multiplications(call: Call) -> int:
    """Over every index of the equation once; an ellipsis stands for the indices of the input that have no letter."""
    left, kernel = call.layer.equation.split("->")[0].split(",")
    sizes = dict(zip(kernel, call.layer.kernel.shape, strict=True))
    shape = call.inputs[0].shape
    places = left.replace("...", "")[(0 if left.startswith("...") else 1) :]
    named = dict(zip(reversed(places), reversed(shape), strict=False))
    open_sides = math.prod(shape[: len(shape) - len(places)])
    return int(open_sides * math.prod({**named, **sizes}.values()))
