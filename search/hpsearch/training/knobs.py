"""Numbers of a training that a compiled program takes as arguments, so that trainings which differ in them share it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any

import keras

from hpsearch.blocks.frozen import leaves
from hpsearch.declare import transformed
from hpsearch.phases import FineTune
from hpsearch.recipe import HyperModel, Recipe, recipe_hash
from hpsearch.regime import Training
from hpsearch.schedules import Plateau
from hpsearch.training.inputs import Inputs
from hpsearch.training.losses import Smoothed
from hpsearch.training.rates import Annealed

__all__ = ["Knob", "knobs_of", "shape_of", "turned"]


@dataclass(frozen=True)
class Knob:
    """A number that an object keeps and looks up whenever it calculates.

    Args:
        owner: The object.
        name: Of its attribute.
    """

    owner: Any
    name: str

    @property
    def value(self) -> float:
        """What it is."""
        return float(getattr(self.owner, self.name))


def knobs_of(trainer: Any) -> list[Knob]:
    """The knobs of a model: of models of one shape the same ones, in the same order.

    A learning rate that is a plain number is none: it is a variable of the optimizer.

    Args:
        trainer: A compiled Keras model.
    """
    found = [
        Knob(layer, "rate")
        for layer in leaves(trainer)
        if type(layer) is keras.layers.Dropout and layer.rate > 0 and layer.noise_shape is None
    ]
    optimizer = getattr(trainer.optimizer, "inner_optimizer", trainer.optimizer)
    found += [Knob(optimizer, name) for name in ("weight_decay", "adam_weight_decay") if getattr(optimizer, name, None)]
    schedule = getattr(optimizer, "_learning_rate", None)
    if isinstance(schedule, Annealed):
        found += [Knob(schedule, name) for name in schedule.numbers]
    if isinstance(trainer, Smoothed) and trainer.smooths:
        found.append(Knob(trainer, "share"))
    return found


@contextmanager
def turned(knobs: Sequence[Knob], values: Sequence[Any]) -> Iterator[None]:
    """Have a model calculate with other numbers, arguments of a program among them.

    Args:
        knobs: Of the model.
        values: Numbers, or what stands for them while a program is traced.
    """
    before = [vars(knob.owner).get(knob.name) for knob in knobs]
    for knob, value in zip(knobs, values, strict=True):
        if knob.name == "rate":
            # Keras's own asks whether the number is above 0, which nobody knows while a program is traced.
            object.__setattr__(knob.owner, "call", partial(_dropped, knob.owner, value))
        else:
            object.__setattr__(knob.owner, knob.name, value)
    try:
        yield
    finally:
        for knob, value in zip(knobs, before, strict=True):
            if knob.name == "rate":
                object.__delattr__(knob.owner, "call")
            else:
                object.__setattr__(knob.owner, knob.name, value)


def _dropped(layer: Any, rate: Any, inputs: Any, training: bool = False) -> Any:
    """Dropout as Keras calculates it on JAX, from the same random numbers."""
    if not training:
        return inputs
    import jax

    kept = jax.numpy.asarray(1.0 - rate, dtype=inputs.dtype)
    mask = jax.random.bernoulli(layer.seed_generator.next(), p=kept, shape=inputs.shape)
    return jax.lax.select(mask, inputs / kept, jax.numpy.zeros_like(inputs))


def shape_of(recipe: Recipe, inputs: Inputs) -> str:
    """What recipes have in common that differ in knobs and learning rates only.

    Args:
        recipe: A recipe without domains.
        inputs: What its network is built for.
    """
    blank = recipe if isinstance(recipe.model, HyperModel) else transformed(recipe, _blank)
    return recipe_hash(blank, inputs.features)


_BLANKS = {"dropout": 0.5, "weight_decay": 1.0, "label_smoothing": 0.5}
"""What stands for any number above 0."""


def _blank(part: Any) -> Any:
    if not is_dataclass(part) or isinstance(part, type) or not type(part).__module__.startswith("hpsearch."):
        return part
    names = {field.name for field in fields(part)}
    said: dict[str, Any] = {name: blank for name, blank in _BLANKS.items() if name in names and getattr(part, name)}
    if "learning_rate" in names:
        said["learning_rate"] = 1.0
    if isinstance(part, Training | FineTune):
        said["epochs"] = 1
    if isinstance(part, Training):
        schedule = part.schedule
        said["early_stopping"] = None
        said["schedule"] = None if schedule is None or isinstance(schedule, Plateau) else type(schedule)()
    return replace(part, **said)
