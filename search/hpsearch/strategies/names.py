"""The names of the strategies and pruners, for a command line that loads none of them."""

from __future__ import annotations

__all__ = ["PRUNERS", "STRATEGIES"]

STRATEGIES = ("adaptive", "tpe", "random", "grid", "gp", "cmaes", "kt-random", "kt-bayesian", "kt-hyperband")
"""Who may propose; the first is the default."""
PRUNERS = ("none", "median", "asha", "hyperband")
"""Who may stop trials early; the first is the default."""
