"""How long the steps of a compiled program take, alone and of several trainings together, and what that decides."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["Pace"]

MARGIN = 0.9
"""Of the time that pieces take one after the other; together they have to stay below that."""
WORTH = 3.0
"""How many times what it took to compile a program has to be left to train before it is compiled for several."""


@dataclass
class Pace:
    """What was measured of a program.

    The first piece of each kind is compiled while it is done, and says how long that takes and nothing else.
    """

    compiling: float | None = None
    """Seconds of the first piece."""
    alone: float = math.inf
    """Seconds a step of one training."""
    together: dict[int, float] = field(default_factory=dict)
    """Seconds a step of so many trainings, in which each of them does one."""
    tried: set[int] = field(default_factory=set)
    """How many were done together at least once."""

    def took(self, steps: int, seconds: float) -> None:
        """Learn from a piece of one training.

        Args:
            steps: How many there were.
            seconds: How long they took.
        """
        if self.compiling is None:
            self.compiling = seconds
        else:
            self.alone = min(self.alone, seconds / steps)

    def took_together(self, width: int, steps: int, seconds: float) -> None:
        """Learn from a piece of several trainings.

        Args:
            width: How many trainings.
            steps: How many steps each of them did.
            seconds: How long that took.
        """
        if width in self.tried:
            self.together[width] = min(self.together.get(width, math.inf), seconds / steps)
        self.tried.add(width)

    def failed_together(self, width: int) -> None:
        """So many cannot be done together.

        Args:
            width: How many trainings.
        """
        self.tried.add(width)
        self.together[width] = math.inf

    def pays(self, width: int, left: int) -> bool:
        """Whether several are done together, be it to measure that.

        Args:
            width: How many trainings.
            left: Steps that they have before them, all of them together.
        """
        if width in self.together:
            return self.together[width] < MARGIN * width * self.alone
        if width in self.tried:
            return True  # it was compiled, and has to be measured
        return self.compiling is not None and WORTH * self.compiling < self.alone * left < math.inf
