"""Phases of a training: the head first, on what is frozen, then the last layers of that at a rate of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hpsearch.declare import Declared, Maybe, Number, Whole, declared, is_declared, option, walk_fields
from hpsearch.domains import Between, OneOf, Repeat, Tied, possible
from hpsearch.optimizers import Optimizer

__all__ = ["FineTune", "Phase", "may_freeze", "phases_of", "some"]


@declared
class FineTune(Declared):
    """A second phase: part of what was frozen learns too, at a small rate of its own.

    It begins from the best weights of the first phase, with a fresh optimizer of the same kind; schedule and early
    stopping of the training hold for each phase. Batch normalisation stays in inference mode, or its statistics would
    forget what the backbone learned. Both phases are one trial with one history.

    Howard and Ruder, "Universal language model fine-tuning for text classification", ACL 2018, say why the head comes
    first.

    Args:
        epochs: The most epochs of this phase; they come after those of the first.
        unfreeze_last: How many layers at the end of the frozen backbone learn; None is all of them. Layers without
            weights count, as they do in Keras. Where several branches are frozen, it holds for each.
        learning_rate: Of the optimizer in this phase; ten to a hundred times less than in the first is usual.
    """

    epochs: int = option(Whole(1))
    unfreeze_last: int | None = option(Maybe(Whole(1)), default=None)
    learning_rate: float = option(Number(above=0), default=1e-5)


@dataclass(frozen=True)
class Phase:
    """One phase of a concrete training.

    Args:
        epochs: The most epochs.
        optimizer: With the learning rate of this phase.
        tuning: What is unfrozen; None leaves everything as it was built.
    """

    epochs: int
    optimizer: Optimizer
    tuning: FineTune | None = None


def phases_of(training: Any, model: Any) -> tuple[Phase, ...]:
    """The phases of a training without domains; fine-tuning where nothing is frozen is none.

    Args:
        training: ``Training(...)``.
        model: What is trained.
    """
    first = Phase(training.epochs, training.optimizer)
    tuning: FineTune | None = training.fine_tune
    if tuning is None or not may_freeze(model):
        return (first,)
    optimizer = replace(training.optimizer, learning_rate=tuning.learning_rate)
    return first, Phase(tuning.epochs, optimizer, tuning)


def may_freeze(tree: Any) -> bool:
    """Whether a part of a model is frozen, or may be where there are domains: whether it has ``frozen=True``.

    Args:
        tree: A model, or a part of it, with or without domains.
    """
    return any(True in possible(getattr(part, "frozen", None)) for part in _parts(tree))


def _parts(tree: Any) -> Iterator[Any]:
    """Every declared object that may stand in a tree."""
    if isinstance(tree, Tied):
        yield from _parts(tree.domain)
    elif isinstance(tree, Repeat):
        yield from _parts(tree.element)
    elif isinstance(tree, OneOf):
        for each in tree.options:
            yield from _parts(each)
    elif isinstance(tree, tuple | list):
        for each in tree:
            yield from _parts(each)
    elif is_declared(tree):
        yield tree
        for _, part, _ in walk_fields(tree):
            yield from _parts(part)


def some(tree: Any) -> Any:
    """Any one thing without domains that a declared object with domains may become.

    Args:
        tree: Such an object, or a value.
    """
    if isinstance(tree, Tied):
        return some(tree.domain)
    if isinstance(tree, OneOf):
        return some(tree.options[0])
    if isinstance(tree, Between):
        return tree.low
    if is_declared(tree):
        return replace(tree, **{name: some(part) for name, part, _ in walk_fields(tree)})
    return tree
