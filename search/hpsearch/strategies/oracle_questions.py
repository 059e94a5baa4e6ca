"""What the process of Keras Tuner's oracles is asked, and what it answers; plain values only."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Bracket", "Dimension", "Past", "Proposal", "Question"]


@dataclass(frozen=True)
class Dimension:
    """One choice.

    Args:
        name: Its name.
        low: The smallest value; whole where the values are whole.
        high: The largest value.
        log: Whether equal ratios are equally likely.
        ordered: Whether neighbours are alike; values that are not are positions of labels.
    """

    name: str
    low: float
    high: float
    log: bool = False
    ordered: bool = True


@dataclass(frozen=True)
class Bracket:
    """The place of a trial in Hyperband.

    Args:
        index: The bracket, counted from the start of the study.
        round: The round in the bracket, from 0.
        wanted: How many trials the next round takes; 0 where this is the last.
    """

    index: int
    round: int
    wanted: int


@dataclass(frozen=True, eq=False)
class Past:
    """A trial so far; told anew, as another object, once it changes.

    Args:
        number: Its number.
        values: Its choices by name.
        score: Its score; None while it is open, or where it has none.
        ended: Whether it has ended.
        worked: Whether it could work; one that could not counts as the worst.
        counts: Whether it says anything; one that does not (the double of another) is only not proposed again.
        proposal: What it was proposed to choose.
        bracket: Its place in Hyperband, or None.
        parent: The trial that it goes on from, or None.
    """

    number: int
    values: dict[str, float]
    score: float | None
    ended: bool
    worked: bool
    counts: bool
    proposal: dict[str, float]
    bracket: Bracket | None = None
    parent: int | None = None


@dataclass(frozen=True)
class Question:
    """What shall the next trial be?

    Args:
        kind: ``random``, ``bayesian`` or ``hyperband``.
        seed: Where its random numbers start, at least 1.
        maximize: Whether more is better.
        epochs: The most epochs of a trial.
        number: The number of the next trial.
        dimensions: The choices known so far.
        trials: The trials so far, by number.
    """

    kind: str
    seed: int
    maximize: bool
    epochs: int
    number: int
    dimensions: tuple[Dimension, ...]
    trials: tuple[Past, ...]


@dataclass(frozen=True)
class Proposal:
    """The next trial.

    Args:
        values: Its choices by name; empty for one that goes on from a parent, whose choices it has.
        epochs: How far to train it, its parent's epochs included; None leaves that to the recipe.
        parent: The trial to go on from, or None.
        bracket: Its place in Hyperband, or None.
    """

    values: dict[str, float]
    epochs: int | None = None
    parent: int | None = None
    bracket: Bracket | None = None
