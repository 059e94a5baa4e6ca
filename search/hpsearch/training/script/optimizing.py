"""The optimizer of a script: one of Keras's or, where Keras has none, with a class of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from hpsearch.optimizers import Muon, Optimizer
from hpsearch.regime import Training
from hpsearch.training.script.calls import Call, call_of
from hpsearch.training.script.classes import BIAS_RATE, MUON

__all__ = ["optimizer_call", "optimizer_classes"]


def optimizer_call(training: Training, optimizer: Optimizer, rate: Any = None) -> Call:
    """The call that makes an optimizer.

    Args:
        training: How the network is trained.
        optimizer: The optimizer of the phase.
        rate: What stands for its learning rate; None is its own.
    """
    call = _base(optimizer, training.clip_norm, training.average)
    options = {"learning_rate": optimizer.learning_rate if rate is None else rate, **call.options}
    if training.bias_rate == 1:
        return Call(call.name, (), options)
    return Call("BiasRate", (training.bias_rate,), options)


def optimizer_classes(training: Training) -> Iterator[str]:
    """The classes that the optimizer of a training needs above it.

    Args:
        training: How the network is trained.
    """
    if isinstance(training.optimizer, Muon):
        yield MUON
    if training.bias_rate != 1:
        yield BIAS_RATE.replace("BASE", _base(training.optimizer).name)


def _base(optimizer: Optimizer, clip_norm: float | None = None, average: float | None = None) -> Call:
    """The call without a learning rate, and as if biases had that of all else."""
    made = optimizer.build(clip_norm=clip_norm, average=average)
    if isinstance(optimizer, Muon):
        made = keras.optimizers.Muon.from_config(made.get_config())
    call = call_of(made, {}, without=("learning_rate", "loss_scale_factor"))
    return Call("Muon" if isinstance(optimizer, Muon) else call.name, (), call.options)
