"""One plot as Plotly takes it, and what the plots have in common: names, numbers, frames, the look of a point.

Colours are names of custom properties of the style sheet, ``var(--found)``; the page puts in what they are in the light
or the dark, so that one description serves both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hpsearch.results.leaderboard import Row
from hpsearch.results.report.markup import plot_text
from hpsearch.wording import one_line, score

__all__ = [
    "FAINT",
    "FOUND",
    "GRID",
    "HAND",
    "LONGEST",
    "PANEL",
    "Figure",
    "brief",
    "diamonds",
    "dots",
    "frame",
    "hover",
    "label",
    "outside_of_frame",
    "rounded",
]

FOUND, HAND, FAINT, GRID, PANEL = (f"var(--{name})" for name in ("found", "hand", "faint", "grid", "panel"))

LONGEST = 28
"""Longer names are cut where there is no room for more; they stand in full in the tables."""

CROWDED = 200
"""With more points than this they are drawn smaller."""


@dataclass(frozen=True)
class Figure:
    """A plot.

    Args:
        key: Its name in the page, such as ``best-so-far``.
        title: What it shows, as a heading.
        caption: What one should see in it, in a sentence or two.
        alt: The same for who cannot see it: what is drawn, with the numbers that matter.
        data: Plotly's traces.
        layout: Plotly's layout.
        height: In pixels.
    """

    key: str
    title: str
    caption: str
    alt: str
    data: Sequence[dict[str, Any]]
    layout: dict[str, Any] = field(default_factory=dict)
    height: int = 380

    def specification(self) -> dict[str, Any]:
        """What the page hands to Plotly."""
        return {"data": list(self.data), "layout": {**self.layout, "height": self.height}}


def rounded(value: float | None) -> float | None:
    """Five digits, which no eye tells apart from more; None where there is no number.

    Args:
        value: A number.
    """
    return float(f"{value:.5g}") if value is not None and math.isfinite(value) else None


def label(text: object, longest: int = LONGEST) -> str:
    """A text from outside, short and harmless in a plot.

    Args:
        text: Such as the name of a class.
        longest: The most characters.
    """
    line = one_line(str(text))
    return plot_text(line if len(line) <= longest else f"{line[: longest - 1]}…")


def brief(name: str) -> str:
    """A choice by its name without what all names share: ``stages[0].filters`` of ``model.body.stages[0].filters``."""
    for prefix in ("model.body.", "model.", "training."):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def hover(row: Row) -> str:
    """What is said of a trial where the pointer is on it."""
    trial = row.trial
    called = label(f"{trial.baseline} (hand-made)" if trial.baseline else f"trial {trial.number}", 60)
    return f"{called}: {score(row.validation)}"


def dots(name: str, rows: Sequence[Row], x: Sequence[Any], y: Sequence[Any], crowd: int = 0) -> dict[str, Any]:
    """The trials of a search as points.

    Args:
        name: What the legend calls them.
        rows: The trials.
        x: One a trial.
        y: One a trial.
        crowd: How many points there are; 0 counts these.
    """
    size, opacity = (5, 0.45) if max(crowd, len(rows)) > CROWDED else (7, 0.7)
    marker = {"color": FOUND, "size": size, "opacity": opacity, "line": {"width": 0}}
    return _points(name, rows, x, y, marker)


def diamonds(name: str, rows: Sequence[Row], x: Sequence[Any], y: Sequence[Any]) -> dict[str, Any]:
    """The hand-made networks as points that differ in shape, too.

    Args:
        name: What the legend calls them.
        rows: The hand-made networks.
        x: One each.
        y: One each.
    """
    marker = {"color": HAND, "symbol": "diamond", "size": 10, "line": {"width": 1, "color": PANEL}}
    return {**_points(name, rows, x, y, marker), "cliponaxis": False}


def _points(
    name: str, rows: Sequence[Row], x: Sequence[Any], y: Sequence[Any], marker: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": list(x),
        "y": list(y),
        "text": [hover(row) for row in rows],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": marker,
    }


def frame(values: Sequence[float], maximize: bool, always: Sequence[float] = ()) -> tuple[list[float] | None, int]:
    """The part of an axis of scores where differences matter: the better three quarters.

    Args:
        values: All scores that are drawn.
        maximize: Whether a higher score is better.
        always: Scores that must be within.

    Returns:
        The range, or None for all; and how many scores lie outside.
    """
    if len(values) < 8:
        return None, 0
    ordered = sorted(values, reverse=maximize)
    best, cut = ordered[0], ordered[len(ordered) * 3 // 4]
    worst = min([cut, *always]) if maximize else max([cut, *always])
    span = abs(best - worst)
    if span == 0 or abs(ordered[-1] - best) < 2 * span:
        return None, 0
    near, far = (worst - 0.06 * span, best + 0.1 * span) if maximize else (best - 0.1 * span, worst + 0.06 * span)
    outside = sum(1 for value in values if not near <= value <= far)
    return [near, far], outside


def outside_of_frame(trials: int) -> str:
    """What is said of the trials that `frame` leaves out.

    Args:
        trials: How many.
    """
    return f"{trials:,} weaker {'trial lies' if trials == 1 else 'trials lie'} outside the frame"
