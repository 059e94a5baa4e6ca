"""Two courses of training over each other, as a plot of letters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpsearch.cli.output import score

__all__ = ["overlay"]

WIDTH = 60
HEIGHT = 10
BOTH = "#"


def overlay(a: Sequence[float], b: Sequence[float], marks: tuple[str, str] = ("A", "B")) -> list[str]:
    """Lines of a plot; a sign of its own stands where the two meet.

    Args:
        a: A value an epoch.
        b: The same of the other; it may be longer or shorter.
        marks: A letter for each.
    """
    finite = [value for value in (*a, *b) if math.isfinite(value)]
    if not finite:
        return []
    low, high = min(finite), max(finite)
    epochs = max(len(a), len(b))
    width = min(epochs, WIDTH)
    spread = 2 if 2 * width <= WIDTH else 1  # few epochs stand apart, which is easier to read
    cells = [[" "] * (width * spread) for _ in range(HEIGHT)]
    for values, mark in ((a, marks[0]), (b, marks[1])):
        for epoch, value in enumerate(values):
            if math.isfinite(value):
                column = spread * (epoch if epochs <= WIDTH else epoch * WIDTH // epochs)
                line = _line(value, low, high)
                cells[line][column] = BOTH if cells[line][column] not in (" ", mark) else mark
    labels = {0: score(high), HEIGHT - 1: score(low)}
    margin = max(map(len, labels.values()))
    drawn = [f"{labels.get(place, ''):>{margin}} | {''.join(line)}".rstrip() for place, line in enumerate(cells)]
    first, last = "1", str(epochs)
    axis = f"{first}{last:>{width * spread - spread + 1 - len(first)}}" if epochs > 1 else first
    return [*drawn, f"{'epoch':>{margin}}   {axis}"]


def _line(value: float, low: float, high: float) -> int:
    """The line from the top; of equal values the middle one."""
    share = (value - low) / (high - low) if high > low else 0.5
    return HEIGHT - 1 - round(share * (HEIGHT - 1))
