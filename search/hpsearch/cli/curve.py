"""The course of a training as lines of bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from hpsearch.cli.output import score
from hpsearch.study import Epoch

__all__ = ["curve", "sparkline"]

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


_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"


def sparkline(
    values: Sequence[float], width: int | None = None, low: float | None = None, high: float | None = None
) -> str:
    """A curve as one line of bars; a value that is not finite is a dot.

    Args:
        values: One a bar.
        width: The most bars; longer curves are averaged down to it.
        low: The value of the lowest bar; the smallest value if not given. Two curves with the same bounds compare.
        high: The value of the highest bar; the largest value if not given.
    """
    bars = _averaged(values, width) if width is not None and len(values) > width else list(values)
    finite = [value for value in bars if math.isfinite(value)]
    if not finite:
        return _GAP * len(bars)
    bottom = min(finite) if low is None else low
    span = (max(finite) if high is None else high) - bottom
    return "".join(_bar(value, bottom, span) for value in bars)


def _bar(value: float, bottom: float, span: float) -> str:
    if not math.isfinite(value):
        return _GAP
    if not (math.isfinite(span) and span > 0):
        return _BARS[3]
    share = min(max((value - bottom) / span, 0.0), 1.0)
    return _BARS[round(share * (len(_BARS) - 1))]


def _averaged(values: Sequence[float], width: int) -> list[float]:
    if width <= 0:
        return []
    edges = [place * len(values) // width for place in range(width + 1)]
    buckets = [[v for v in values[a:b] if math.isfinite(v)] for a, b in pairwise(edges)]
    return [sum(bucket) / len(bucket) if bucket else math.nan for bucket in buckets]
