"""Trainings of one process take turns on the device; those of one shape go together where that was measured faster.

What is asked for is a piece: some steps of one training. Whoever finds the device free does the piece that waits
longest, and with it those of other trainings that have the same program, as one call for all of them, if that is worth
it: pieces are timed alone and together, and the first attempt is made only where there is enough left to train to make
up for compiling. Each training goes on as it would alone, apart from rounding; a loss that is not finite stays its own.

Together they are two, four, eight and so on. One that ends early leaves its place, and the others go on
as fewer, without a program for every number.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from numpy.typing import NDArray

from hpsearch.training.programs import Program, Rows, State

__all__ = ["TURNS", "Piece", "Turns"]

GATHER = 0.02
"""Seconds that the device waits for trainings that are about to ask for their next piece."""
PATIENCE = 0.5
"""Seconds between signs of life of a training that waits."""
FIRST = 8
"""Steps of pieces that are done together to see how long that takes."""


@dataclass(eq=False)
class Piece:
    """Some steps of a training, or of its validation.

    Args:
        program: What does them.
        kind: Which of the two.
        state: Of the model; once it is done, what became of that.
        knobs: The knobs of the model.
        rows: On the device.
        order: The rows in their order (n,).
        steps: Which steps, from 0.
        size: Rows a step.
        left: How many steps of this kind the training has before it, these included.
        count: How many were done.
        seconds: How long they took, without waiting.
        error: What went wrong instead.
    """

    program: Program
    kind: Literal["train", "test"]
    state: State
    knobs: Sequence[float]
    rows: Rows
    order: NDArray[np.int32]
    steps: range
    size: int
    left: int
    count: int = 0
    seconds: float = 0.0
    error: BaseException | None = None

    @property
    def whole(self) -> int:
        """How many of the steps have the whole size."""
        return max(min(self.steps.stop, len(self.order) // self.size) - self.steps.start, 0)

    @property
    def alike(self) -> Hashable:
        """What pieces have in common that can be done together."""
        return self.program, self.kind, id(self.rows.x), id(self.rows.labels), self.size

    def do(self) -> None:
        """Do all of it."""
        program, began = self.program, time.monotonic()
        if self.kind == "train":
            state = program.train(self.state, self.knobs, self.rows, self.order, self.steps, self.size)
        else:
            state = program.test(self.state, self.rows, self.order, self.steps, self.size)
        self.state, self.count = jax.block_until_ready(state), len(self.steps)
        self.seconds = time.monotonic() - began
        program.paces[self.kind].took(self.count, self.seconds)


class Turns:
    """Who is next on the device."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[Piece] = []
        self._busy = False
        self._before_pieces = 0

    @contextlib.contextmanager
    def among(self, program: Program) -> Iterator[None]:
        """Be one of those that a program trains, for whom the others wait a moment.

        Args:
            program: The program.
        """
        with self._changed:
            program.members += 1
        try:
            yield
        finally:
            with self._changed:
                program.members -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While no piece is done; whoever waits for this comes before all pieces."""
        with self._changed:
            self._before_pieces += 1
            self._changed.wait_for(lambda: not self._busy)
            self._before_pieces -= 1
            self._busy = True
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def take(self, piece: Piece, tell: Callable[[], None]) -> None:
        """Have a piece done, or at least its first steps.

        Args:
            piece: The piece; its state, count and seconds are then what became of it.
            tell: Called now and then while it waits; what it raises withdraws the piece, and nothing of it was done.
        """
        self._ask(piece)
        while True:
            with self._changed:
                if piece.count or piece.error:  # set before whoever did it lets go of the device
                    break
                group = self._group()
                idle = not group and not self._changed.wait(PATIENCE)
            if group:
                self._do(group)
            elif idle and self._withdrawn(piece):
                tell()
                self._ask(piece)
        if piece.error is not None:
            raise piece.error

    def _ask(self, piece: Piece) -> None:
        with self._changed:
            self._waiting.append(piece)
            self._changed.notify_all()

    def _withdrawn(self, piece: Piece) -> bool:
        """Take a piece back, unless somebody does it already."""
        with self._changed:
            if piece not in self._waiting:
                return False
            self._waiting.remove(piece)
            return True

    def _group(self) -> list[Piece]:
        """What is to be done by whoever asks; nothing while something is done."""
        if self._busy or self._before_pieces or not self._waiting:
            return []
        self._busy = True
        oldest = self._waiting.pop(0)  # so that nobody takes it back
        program, pace = oldest.program, oldest.program.paces[oldest.kind]
        if any(pace.pays(width, width * oldest.left) for width in _widths(program.members)):
            self._changed.wait_for(lambda: self._are_all_there(program), GATHER)
        self._waiting.insert(0, oldest)
        # Those that validate go first: then they can train with the others, and are with them from there on.
        first = next((piece for piece in self._waiting if piece.program is program and piece.kind == "test"), oldest)
        self._waiting.remove(first)
        pace = program.paces[first.kind]
        there = [first, *self._like(first)] if first.whole else [first]
        for width in _widths(len(there)):
            if pace.pays(width, sum(piece.left for piece in there[:width])):
                self._waiting = [piece for piece in self._waiting if piece not in there[:width]]
                return there[:width]
        return [first]

    def _are_all_there(self, program: Program) -> bool:
        """Whether each training that a program is used by has asked for something, whatever it is."""
        return sum(piece.program is program for piece in self._waiting) + 1 >= program.members

    def _like(self, first: Piece) -> list[Piece]:
        return [piece for piece in self._waiting if piece.alike == first.alike and piece.whole]

    def _do(self, group: list[Piece]) -> None:
        try:
            if len(group) > 1:
                _do_together(group)
            else:
                group[0].do()
        except Exception as error:  # noqa: BLE001  # whoever asked for it is told
            self._failed(group, error)
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _failed(self, group: list[Piece], error: Exception) -> None:
        if len(group) == 1:
            group[0].error = error
            return
        # What each of them had is still there; it may be that there was no memory for all.
        group[0].program.paces[group[0].kind].failed_together(len(group))
        with self._changed:
            self._waiting = [*group, *self._waiting]


def _widths(most: int) -> list[int]:
    """How many may be done together, the most first: 8, 4 and 2 of eleven."""
    return [2**power for power in range(most.bit_length() - 1, 0, -1)]


def _do_together(group: list[Piece]) -> None:
    """Do the steps that pieces of one program have in common, from the first on."""
    first, width = group[0], len(group)
    pace = first.program.paces[first.kind]
    count = min(piece.whole for piece in group)
    if width not in pace.together:
        count = min(count, FIRST)
    began = time.monotonic()
    states = first.program.together(
        first.kind,
        [piece.state for piece in group],
        [piece.knobs for piece in group],
        first.rows,
        [piece.order for piece in group],
        [piece.steps.start for piece in group],
        count,
        first.size,
    )
    jax.block_until_ready(states)
    seconds = time.monotonic() - began
    pace.took_together(width, count, seconds)
    for piece, state in zip(group, states, strict=True):
        piece.state, piece.seconds, piece.count = state, seconds, count


TURNS = Turns()
"""Those of this process."""
