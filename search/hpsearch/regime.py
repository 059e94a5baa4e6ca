"""How a network is trained: epochs, optimizer, schedule, phases, loss, precision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from hpsearch.blocks.augment import Augment
from hpsearch.blocks.concat import Concat
from hpsearch.blocks.tiled import Tiled
from hpsearch.declare import (
    Choice,
    Declared,
    Either,
    Instance,
    Many,
    Maybe,
    Number,
    Whole,
    brief,
    declared,
    option,
)
from hpsearch.domains import possible
from hpsearch.optimizers import SGD, Adam, AdamW, Muon, Optimizer, RMSprop
from hpsearch.phases import FineTune, may_freeze
from hpsearch.schedules import Cosine, OneCycle, Plateau, Schedule, Triangular

__all__ = ["Training", "disagreement", "idle_tuning"]

_OPTIMIZER = Instance((Adam, AdamW, SGD, RMSprop, Muon), "Adam(...), AdamW(...), SGD(...), RMSprop(...), Muon(...)")
_SCHEDULE = Maybe(
    Instance((Plateau, Cosine, OneCycle, Triangular), "Plateau(...), Cosine(...), OneCycle(...), Triangular(...)")
)
_LOSS = Choice(None, "mean_squared_error", "mean_absolute_error", "huber")
_PRECISION = Choice("float32", "mixed_float16", "mixed_bfloat16")


@declared
class Training(Declared):
    """How a network is trained.

    Args:
        epochs: The most epochs; with ``fine_tune``, those of the first phase.
        batch_size: Images a step.
        optimizer: ``Adam(...)``, ``AdamW(...)``, ``SGD(...)``, ``RMSprop(...)`` or ``Muon(...)``.
        schedule: ``Plateau(...)``, ``Cosine(...)``, ``OneCycle(...)`` or ``Triangular(...)``, or None for a constant
            learning rate. A ``build(hp)`` that compiles its network keeps its own optimizer, on which only ``Plateau``
            acts.
        early_stopping: Epochs without an improvement of the validation loss after which training ends; None goes on.
            With ``fine_tune`` it ends a phase, and the next one begins.
        augment: Random changes of the training images; None makes none.
        fine_tune: ``FineTune(...)``: a second phase in which part of the frozen backbone learns; None has none. Where
            a choice builds a network in which nothing is frozen, there is no such phase.
        class_weight: How much an image of each class counts in the loss: ``"balanced"`` lets every class count the
            same in all, however many images it has; or one number a class, in the order of the class names; None lets
            every image count the same. Scores on validation are never weighted.
        label_smoothing: Share of each answer that is spread over all classes while training; the validation loss is
            measured without. Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016.
        clip_norm: The largest norm of all gradients together, which are shortened to it; None does not. Pascanu et al.,
            "On the difficulty of training recurrent neural networks", ICML 2013.
        bias_rate: How many times the learning rate of all else biases have, those of batch normalisation included;
            weight decay is as for all else. The record of Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU",
            2024, has 64.
        average: Decay of running averages of the weights, step by step, such as 0.99: what is validated, kept as the
            best epoch and exported are the averages, with statistics of batch normalisation found for them, while
            training goes on with the weights themselves; scores on the training steps are of these. Batch
            normalisation whose momentum is said keeps its moving statistics. None averages nothing. Polyak and
            Juditsky, "Acceleration of stochastic approximation by averaging", 1992. A ``build(hp)`` that compiles its
            network keeps its own optimizer, which does without.
        loss: For amounts (``head="linear"``): ``"mean_squared_error"``, which None means, ``"mean_absolute_error"`` or
            ``"huber"``. Classes always have cross-entropy. The loss of amounts is in standard deviations of the
            training part; mae and rmse are in the unit of the amounts.
        precision: ``"float32"``; ``"mixed_float16"`` or ``"mixed_bfloat16"`` calculate with 16 bits and keep weights
            with 32: faster on a GPU that has units for it, slower on most CPUs. Micikevicius et al., "Mixed precision
            training", ICLR 2018.
    """

    epochs: int = option(Whole(1))
    batch_size: int = option(Whole(1), default=32)
    optimizer: Optimizer = option(_OPTIMIZER, default=Adam())
    schedule: Schedule | None = option(_SCHEDULE, default=None)
    early_stopping: int | None = option(Maybe(Whole(1)), default=None)
    augment: Augment | None = option(Maybe(Instance((Augment,), "Augment(...)")), default=None)
    fine_tune: FineTune | None = option(Maybe(Instance((FineTune,), "FineTune(...)")), default=None)
    class_weight: str | Sequence[float] | None = option(
        Either(Choice(None, "balanced"), Many(Number(above=0), at_least=2)), default=None
    )
    label_smoothing: float = option(Number(at_least=0, below=1), default=0.0)
    clip_norm: float | None = option(Maybe(Number(above=0)), default=None)
    bias_rate: float = option(Number(above=0), default=1.0)
    average: float | None = option(Maybe(Number(above=0, below=1)), default=None)
    loss: str | None = option(_LOSS, default=None)
    precision: str = option(_PRECISION, default="float32")

    def canonical(self) -> Training:
        weights = self.class_weight
        return replace(
            self,
            augment=self.augment if self.augment is not None and self.augment.active else None,
            class_weight=None if isinstance(weights, tuple) and set(weights) == {1} else weights,
            loss=None if self.loss == "mean_squared_error" else self.loss,
        )

    def respelled(self, like: Any) -> Iterable[tuple[Any, Any]]:
        augments = [self.augment]
        if self.augment is None or not self.augment.active:
            augments.append(Augment() if self.augment is None else None)
        losses = [self.loss]
        if self.loss in (None, "mean_squared_error"):
            losses.append("mean_squared_error" if self.loss is None else None)
        for augment, loss in product(augments, losses):
            yield like, replace(self, augment=augment, loss=loss)


def idle_tuning(model: Any, training: Any) -> str | None:
    """The sentence for fine-tuning that could never happen, because nothing is ever frozen; None when all is well.

    Where only some choices of a space freeze nothing, the others have one phase.

    Args:
        model: A model, or several as a domain.
        training: ``Training(...)``, or several as a domain.
    """
    options = [tuning for each in possible(training) for tuning in possible(each.fine_tune) if tuning is not None]
    if not options or may_freeze(model):
        return None
    if any(hasattr(each, "head") for each in possible(model)):
        wanted = "nothing in model.body is frozen; write a backbone with frozen=True, or drop fine_tune."
    else:
        wanted = "a build(hp) freezes and unfreezes layers by itself; drop fine_tune."
    return f"got {brief(options[0])}, but {wanted}"


def disagreement(model: Any, training: Any) -> tuple[str, str] | None:
    """Options of head and training that no model has a use for: the address and a sentence; None when all is well.

    Args:
        model: A model, or several as a domain.
        training: ``Training(...)``, or several as a domain.
    """
    heads = {head for each in possible(model) for head in possible(getattr(each, "head", None))}
    scales = [scale for each in possible(model) for scale in possible(getattr(each, "logit_scale", 1)) if scale != 1]
    if scales and heads == {"linear"}:
        wanted = "a linear head answers with an amount, of which no probability is made; drop it."
        return "model.logit_scale", f"got {brief(scales[0])}, but {wanted}"
    for each in possible(training):
        said = {
            name: next((value for value in possible(getattr(each, name)) if value not in (None, 0)), None)
            for name in ("loss", "label_smoothing", "class_weight")
        }
        for name, value in said.items():
            wanted = _needed(name, heads)
            if value is not None and wanted:
                return f"training.{name}", f"got {brief(value)}, but {wanted}"
        if found := _unmixable(each.augment, model, heads):
            return found
    return None


def _unmixable(augments: Any, model: Any, heads: set[Any]) -> tuple[str, str] | None:
    """The same for images that are mixed."""
    parts = [(getattr(each, "body", None), getattr(each, "input", None)) for each in possible(model)]
    joined = all(
        isinstance(input_, Tiled) or all(isinstance(body, Concat) for body in possible(bodies))
        for bodies, input_ in parts
    )
    if heads != {"linear"} and not joined:
        return None
    why = "there is one input" if joined else "there are classes: a linear head answers with an amount"
    for augment in possible(augments):
        for name in ("mixup", "cutmix"):
            value = next((value for value in possible(getattr(augment, name, None)) if value not in (None, 0)), None)
            if value is not None:
                return (
                    f"training.augment.{name}",
                    f"got {brief(value)}, but images are mixed only where {why}; drop it.",
                )
    return None


def _needed(name: str, heads: set[Any]) -> str:
    """Why an option of the loss is of no use to any of these heads; empty where it is."""
    if name == "loss":
        return "" if "linear" in heads else 'that is for amounts, with head="linear"; drop it.'
    if heads == {"linear"}:
        return "a linear head answers with an amount and knows no classes; drop it."
    if heads == {None} and name == "label_smoothing":
        return "a build(hp) chooses its loss by itself; say it there."
    return ""
