"""Proposals that are made while the trial before them is trained, for models that take long over one.

A Gaussian process over a thousand trials takes ten seconds and more, and a device would stand still for them. What is
proposed ahead cannot know how the trials ended that were open then. So that it does not depend on the speed of the
machine, nor on a kill, the trial before it remembers which these were, and whoever proposes, ahead or when asked, takes
them to be open still.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from optuna.trial import FrozenTrial, TrialState

__all__ = ["BESIDE", "Ahead", "known_to"]

BESIDE = "beside"
"""Which other trials were open when a trial began to train, as an attribute of that trial."""

T = TypeVar("T")


def known_to(number: int, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """What the proposal of a trial knows.

    Args:
        number: The trial that is proposed.
        trials: All trials by number; not changed.

    Returns:
        Those before it; as open still what was when the trial just before it began to train, if that is remembered.
    """
    known = list(trials[:number])
    beside = known[-1].user_attrs.get(BESIDE) if len(known) == number > 0 else None
    if beside is None:
        return known
    then_open = {number - 1, *beside}
    return [_opened(trial) if trial.number in then_open else trial for trial in known]


def _opened(trial: FrozenTrial) -> FrozenTrial:
    if trial.state.is_finished():
        trial = copy.copy(trial)
        trial.state, trial.value, trial.datetime_complete = TrialState.RUNNING, None, None
    return trial


class Ahead(Generic[T]):
    """Makes a proposal in a thread, before it is asked for, or then."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hpsearch-proposal")  # started with the first proposal
        self._begun: tuple[int, Future[T]] | None = None
        self._to_tell = False  # whether somebody wants to know when it is made

    def has(self, number: int) -> bool:
        """Whether the proposal of a trial was begun, and is still to be taken."""
        return self._begun is not None and self._begun[0] == number

    def begin(self, number: int, make: Callable[[], T]) -> None:
        """Begin with the proposal of a trial; one that was begun before and is not wanted any more is dropped.

        Args:
            number: The trial.
            make: Makes it, from what does not change meanwhile.
        """
        self._drop()
        self._begun, self._to_tell = (number, self._thread.submit(make)), False

    def ready(self, tell: Callable[[], None]) -> bool:
        """Whether `take` need not wait.

        Args:
            tell: Called from the thread once it need not, where it must wait now.
        """
        assert self._begun is not None, "it was begun"
        ready = self._begun[1].done()
        if not ready and not self._to_tell:
            self._to_tell = True
            self._begun[1].add_done_callback(lambda _: tell())
        return ready

    def take(self) -> T:
        """The proposal that was begun, once it is made; raises what making it raised."""
        assert self._begun is not None, "it was begun"
        (_, made), self._begun = self._begun, None
        return made.result()

    def close(self) -> None:
        """Begin with nothing any more; what is being made is not waited for."""
        self._drop()
        self._thread.shutdown(wait=False)

    def _drop(self) -> None:
        if self._begun is not None:
            self._begun[1].cancel()
            self._begun = None
