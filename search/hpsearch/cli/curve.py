"""The course of a training as lines of bars."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpsearch.cli.output import score, sparkline
from hpsearch.study import Epoch

__all__ = ["curve"]

CURVE_WIDTH = 40


def curve(history: Sequence[Epoch], best_epoch: int | None, metric: str) -> list[str]:
    """A line of bars a metric; validation and training of one metric share their scale.

    Args:
        history: The epochs.
        best_epoch: The one to mark, from 1, or None.
        metric: The metric of the objective, which comes first.
    """
    if not history:
        return []
    names = _paired(list(history[0].metrics), metric)
    margin = max(map(len, names), default=0)
    lines = []
    for name in names:
        values = _values(history, name)
        lines.append(f"{name:<{margin}}  {_bars(history, name)}  {score(values[0])} to {score(values[-1])}")
    if lines and best_epoch and best_epoch <= len(history):
        lines.append(" " * (margin + 2 + _place(best_epoch, len(history))) + f"^ best epoch {best_epoch}")
    return [*lines, ""] if lines else []


def _paired(metrics: Sequence[str], objective: str) -> list[str]:
    """Validation and training side by side, the metric of the objective first."""
    first = _base(objective)
    bases = sorted((_base(name) for name in metrics if name.startswith("val_")), key=lambda base: base != first)
    return [name for base in bases for name in (f"val_{base}", base) if name in metrics]


def _base(name: str) -> str:
    return name.removeprefix("val_")


def _values(history: Sequence[Epoch], name: str) -> list[float]:
    return [epoch.metrics.get(name, math.nan) for epoch in history]


def _bars(history: Sequence[Epoch], name: str) -> str:
    pair = _values(history, _base(name)) + _values(history, f"val_{_base(name)}")
    finite = [value for value in pair if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (None, None)
    return sparkline(_values(history, name), CURVE_WIDTH, low, high)


def _place(epoch: int, epochs: int) -> int:
    """The bar that holds an epoch."""
    return epoch - 1 if epochs <= CURVE_WIDTH else (epoch * CURVE_WIDTH - 1) // epochs
