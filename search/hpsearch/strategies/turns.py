"""When hand-made networks take their turn: the cheapest first, those that are large for the time budget last."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

__all__ = ["Turns"]

SHARE = 0.25
"""The share of the time budget that hand-made networks may take before the search, and again after it."""


class Turns:
    """Orders hand-made networks by what their training costs.

    Args:
        costs: What each costs, by name, in a unit of its own such as multiply-adds.
        seconds: The time budget; None is no limit, and then all come before the search.
    """

    def __init__(self, costs: Mapping[str, float], seconds: float | None) -> None:
        self.costs = costs
        self.share = math.inf if seconds is None else SHARE * seconds
        self.rate: float | None = None
        """Seconds for a unit of cost, once something was timed."""

    def early(self, waiting: Iterable[str], spent: float) -> str | None:
        """The next one before the search; None where the others must wait until its end.

        Args:
            waiting: Those that are still to be trained.
            spent: Seconds that hand-made networks took so far.
        """
        return next(iter(self._affordable(waiting, spent)), None)

    def late(self, waiting: Iterable[str]) -> str | None:
        """The next one after the search.

        Args:
            waiting: Those that are still to be trained.
        """
        return min(waiting, key=self._cost, default=None)

    def due(self, waiting: Iterable[str], left: float) -> bool:
        """Whether what is left of the time is just what the late ones need.

        Args:
            waiting: Those that are still to be trained.
            left: Seconds left of the budget.
        """
        return self.rate is not None and left <= sum(self._affordable(waiting, 0.0).values())

    def _affordable(self, waiting: Iterable[str], spent: float) -> dict[str, float]:
        """Predicted seconds of those that fit into the share, the cheapest first."""
        # Before anything was timed all fit: the cheapest comes first, and with it the speed of this machine is known.
        fits: dict[str, float] = {}
        for name in sorted(waiting, key=self._cost):
            predicted = self._cost(name) * self.rate if self.rate is not None else 0.0
            if self.rate is not None and spent + predicted > self.share:
                break
            spent += predicted
            fits[name] = predicted
        return fits

    def _cost(self, name: str) -> float:
        return self.costs.get(name, 0.0)
