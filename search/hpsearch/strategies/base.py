"""What the coordinator needs of whoever proposes recipes and stops trials that are not worth their epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hpsearch.addresses import Parameter
from hpsearch.domains import Scalar

__all__ = ["Asked", "Reopened", "Strategy"]


@dataclass(frozen=True)
class Asked:
    """A trial to train.

    Args:
        number: Its number in the study.
        epochs: How far to train it, its parent's epochs included; None leaves that to the recipe.
        parent: The trial from whose checkpoint it goes on, or None.
    """

    number: int
    epochs: int | None = None
    parent: int | None = None


@dataclass(frozen=True)
class Reopened:
    """A trial that an earlier run left open.

    Args:
        asked: The trial as it was asked.
        label: What it was adopted under, such as the name of a baseline; None for one of the strategy's own.
        resolved: Whether all its choices were made.
    """

    asked: Asked
    label: str | None = None
    resolved: bool = False


class Strategy(Protocol):
    """Proposes trials one choice at a time; several trials may be open at once.

    A trial is opened by `ask` or `adopt`, its choices are made by `suggest` and ended by `resolved`, and it is closed
    by one of `complete`, `stop`, `infeasible` and `forget`. What was told is on disk when the method returns: a run
    that is killed at any moment goes on from there, and proposes what it would have proposed.
    """

    def ask(self, *, at_random: bool = False) -> Asked | None:
        """Open a trial.

        Args:
            at_random: Whether to propose without a model, to get away from proposals that repeat.

        Returns:
            The trial; None where there is nothing to propose until an open trial has ended, and, where none is open,
            nothing at all any more.
        """
        ...

    def prepared(self, tell: Callable[[], None]) -> bool:
        """Whether a proposal can be had at once, by `ask` and what follows it.

        Args:
            tell: Called once it can, perhaps from a thread, where it cannot now.
        """
        ...

    def adopt(self, choices: Sequence[tuple[Parameter, Scalar]], label: str) -> int:
        """Open a trial that somebody else proposes, such as a baseline; its choices are made already.

        Args:
            choices: The choices, in the order in which resolving asks for them.
            label: What it is, for a run that takes it up again.

        Returns:
            Its number.
        """
        ...

    def suggest(self, number: int, parameter: Parameter) -> Scalar:
        """Make one choice of an open trial; the same again where it was made before.

        Args:
            number: The trial.
            parameter: The choice.
        """
        ...

    def resolved(self, number: int) -> None:
        """All choices of a trial are made; a ``build(hp)`` with a ``fit`` of its own may still ask for more.

        Args:
            number: The trial.
        """
        ...

    def report(self, number: int, epoch: int, value: float) -> None:
        """Tell an intermediate score; told again for an epoch that was lost and trained again, the first one counts.

        Args:
            number: The trial.
            epoch: From 1.
            value: The objective after that epoch.
        """
        ...

    def should_stop(self, number: int) -> bool:
        """Whether a trial is not worth more epochs, judged by what was reported.

        Args:
            number: The trial.
        """
        ...

    def complete(self, number: int, score: float) -> None:
        """End a trial that was trained to its end."""
        ...

    def stop(self, number: int, score: float | None) -> None:
        """End a trial that was stopped early; its score so far, or None where it has none."""
        ...

    def infeasible(self, number: int) -> None:
        """End a trial that cannot work (out of memory, not finite, too large), so that its region is avoided."""
        ...

    def forget(self, number: int) -> None:
        """End a trial that says nothing about its region: interrupted, or the double of another."""
        ...

    def reopen(self) -> list[Reopened]:
        """Take over the trials that an earlier run left open; each must be ended, or trained on."""
        ...

    def may_continue(self, number: int) -> bool:
        """Whether the checkpoint of an ended trial may still be wanted, as that of a parent.

        Args:
            number: The trial.
        """
        ...

    def close(self) -> None:
        """Give back what is held beside the record, such as a process; nothing is asked any more."""
        ...

    @property
    def begins_cheaply(self) -> bool:
        """Whether its first proposal is a cheap network, worth training before anything else."""
        ...

    @property
    def last_number(self) -> int:
        """The highest number of a trial so far; -1 where there is none."""
        ...
