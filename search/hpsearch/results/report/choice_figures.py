"""What the choices did: which of them mattered, and how the best trials chose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hpsearch.results.leaderboard import Row
from hpsearch.results.report.facts import Facts
from hpsearch.results.report.figure import FAINT, FOUND, GRID, HAND, Figure, brief, hover, label, rounded
from hpsearch.results.report.importance import Importance, is_scale
from hpsearch.wording import score

__all__ = ["importances", "parallel"]

BARS = 12
AXES = 8
BEST_SHARE = 10
"""One in so many trials counts as one of the best."""
BEST = 25
"""But no more than so many, whose lines can be told apart."""
MISSING = -0.09
"""Where a trial passes an axis of a choice that it did not make."""
STEPS = 20
"""On an axis with at most so many values the lines through one lie side by side."""
GOLDEN = 0.6180339887
VALUES = 6
"""An axis with at most so many values shows each of them."""


def importances(found: Importance) -> Figure | None:
    """How much each choice mattered, as bars.

    Args:
        found: What Optuna says.
    """
    shown = list(found.weights[:BARS])
    if not shown:
        return None
    top = shown[0]
    return Figure(
        "importance",
        "What mattered",
        _said_of_importance(found),
        f"Bars of importance, the longest first: {', '.join(f'{w.name} {w.share:.0%}' for w in shown)}.",
        [
            {
                "type": "bar",
                "orientation": "h",
                "x": [rounded(weight.share) for weight in reversed(shown)],
                "y": [label(brief(weight.name), 34) for weight in reversed(shown)],
                "customdata": [weight.trials for weight in reversed(shown)],
                "marker": {"color": FOUND},
                "text": [f"{weight.share:.0%}" for weight in reversed(shown)],
                "textposition": "outside",
                "cliponaxis": False,
                "hovertemplate": "%{y}: %{text}, of %{customdata} trials<extra></extra>",
            }
        ],
        {
            "xaxis": {"range": [0, (rounded(top.share) or 0) * 1.15], "tickformat": ".0%", "fixedrange": True},
            "yaxis": {"automargin": True, "fixedrange": True},
            "showlegend": False,
        },
        70 + 30 * len(shown),
    )


def _said_of_importance(found: Importance) -> str:
    rest = len(found.weights) - BARS
    over = f"{found.trials:,} completed trials of the search"
    said = [f"How much of what sets the better trials apart comes of each choice: Optuna's PED-ANOVA over the {over}."]
    said.append("A choice that only some trials make is judged among those.")
    if rest > 0:
        said.append(f"{rest} less important {'choice is' if rest == 1 else 'choices are'} not drawn.")
    if found.left_out:
        trials = "trial that was" if found.left_out == 1 else "trials that were"
        said.append(f"Left out: {found.left_out:,} {trials} stopped early or made by hand.")
    if found.rare:
        said.append(f"Too rarely made to say: {_listed(found.rare)}.")
    if found.constant:
        said.append(f"Always chosen alike: {_listed(found.constant)}.")
    return " ".join(said)


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(brief(name) for name in names[:most]) + more


# ---- parallel coordinates


@dataclass(frozen=True)
class _Axis:
    """A scale that every trial passes.

    Args:
        name: Of the choice, or of the objective.
        values: What the trials chose, by the number of the trial.
        ticks: Places from 0 to 1, with their texts.
        places: Where on it each trial passes, from 0 to 1.
    """

    name: str
    values: dict[int, Any]
    ticks: Sequence[tuple[float, str]]
    places: dict[int, float]


def parallel(facts: Facts, found: Importance) -> Figure | None:
    """Every trial as a line through its choices; the scales lie below each other, so that a narrow screen holds them.

    Args:
        facts: The study.
        found: Which choices matter, so that they come first.
    """
    names = [weight.name for weight in found.weights]
    rows = [row for row in facts.ranked if row.trial.answers]
    searched = [row for row in rows if not row.trial.baseline]
    if len(searched) < 2 or not names:
        return None
    axes = [_choice_axis(name, rows) for name in names[:AXES]]
    axes.append(_score_axis(facts, rows))
    best = searched[: min(math.ceil(len(searched) / BEST_SHARE), BEST)]
    others = searched[len(best) :]
    made = [row for row in rows if row.trial.baseline]
    data = [
        _lines("other trials", others, axes, {"color": FAINT, "width": 1}, spoken=False),
        _lines(f"best {len(best):,}", best, axes, {"color": FOUND, "width": 1.5}),
        _lines("hand-made", made, axes, {"color": HAND, "width": 2, "dash": "dash"}),
    ]
    drawn = ", ".join(brief(axis.name) for axis in axes)
    return Figure(
        "parallel",
        "How the best chose",
        "Each line is a trial that passes each scale at what it chose; the last scale is its score. Where the lines of "
        f"the best {len(best):,} run close together, they agree on what to choose. A trial that had no such choice "
        "passes to the left of the scale.",
        f"Parallel coordinates of {len(rows):,} trials over {drawn}.",
        [trace for trace in data if trace["x"]],
        {
            "xaxis": {"visible": False, "range": [-0.13, 1.04], "fixedrange": True},
            "yaxis": {"visible": False, "range": [len(axes) - 0.55, -0.75], "fixedrange": True},
            "shapes": [_line(place) for place in range(len(axes))],
            "annotations": [note for place, axis in enumerate(axes) for note in _notes(place, axis)],
            "margin": {"l": 8, "r": 8, "b": 8},
            "hovermode": "closest",
        },
        70 + 62 * len(axes),
    )


def _choice_axis(name: str, rows: Sequence[Row]) -> _Axis:
    values = {row.trial.number: row.trial.answers[name] for row in rows if name in row.trial.answers}
    numbers = [v for v in values.values() if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values):
        labels = sorted({str(value) for value in values.values()})
        return _category_axis(name, {number: str(value) for number, value in values.items()}, labels)
    by_size = is_scale(list(values.values()))
    low, high = min(numbers), max(numbers)

    def place(value: float) -> float:
        if high == low:
            return 0.5
        if by_size:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    distinct = sorted(set(numbers))
    shown = distinct if len(distinct) <= VALUES else [low, high]
    apart = _apart([place(value) for value in distinct])
    ticks = [(place(value), f"{value:.3g}" if isinstance(value, float) else str(value)) for value in shown]
    places = {number: _beside(place(value), number, apart) for number, value in values.items()}
    return _Axis(name, values, ticks, places)


def _apart(places: Sequence[float]) -> float:
    """How far lines through one value may lie apart without coming near the next; nothing on a scale without steps."""
    steps = [after - before for before, after in pairwise(places)]
    return 0.5 * min(*steps, 0.1) if steps and len(places) <= STEPS else 0.0


def _beside(place: float, number: int, apart: float) -> float:
    """Where a trial passes a value that many choose: a little beside it, always at the same place."""
    return min(max(place + apart * (number * GOLDEN % 1 - 0.5), 0.0), 1.0)


def _category_axis(name: str, values: dict[int, str], labels: Sequence[str]) -> _Axis:
    places = {text: (at + 0.5) / len(labels) for at, text in enumerate(labels)}
    ticks = [(places[text], text) for text in labels] if len(labels) <= VALUES else []
    apart = _apart(list(places.values()))
    passed = {number: _beside(places[value], number, apart) for number, value in values.items()}
    return _Axis(name, values, ticks, passed)


def _score_axis(facts: Facts, rows: Sequence[Row]) -> _Axis:
    values = {row.trial.number: row.validation for row in rows}
    known = [value for value in values.values() if value is not None]
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    places = {number: (value - low) / span for number, value in values.items() if value is not None}
    return _Axis(facts.metric, values, [(0.0, score(low)), (1.0, score(high))], places)


def _lines(
    name: str, rows: Sequence[Row], axes: Sequence[_Axis], line: dict[str, Any], *, spoken: bool = True
) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    texts: list[str] = []
    for row in rows:
        for place, axis in enumerate(axes):
            number = row.trial.number
            x.append(rounded(axis.places.get(number, MISSING)))
            y.append(place)
            chosen = axis.values.get(number, "not chosen")
            said = f"{chosen:.4g}" if isinstance(chosen, float) else chosen
            texts.append(f"{hover(row)}<br>{label(brief(axis.name))} {label(said)}")
        x.append(None)
        y.append(None)
        texts.append("")
    trace = {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": line}
    if not spoken:
        return {**trace, "hoverinfo": "skip", "opacity": 0.35}
    return {**trace, "text": texts, "hovertemplate": "%{text}<extra></extra>"}


def _line(place: int) -> dict[str, Any]:
    return {
        "type": "line",
        "layer": "below",
        "x0": 0,
        "x1": 1,
        "y0": place,
        "y1": place,
        "line": {"color": GRID, "width": 2},
    }


def _notes(place: int, axis: _Axis) -> list[dict[str, Any]]:
    """The name above the scale, its values below."""
    plain = {"showarrow": False, "xref": "x", "yref": "y", "bgcolor": "var(--veil)", "borderpad": 1}
    named = {
        **plain,
        "x": -0.12,
        "y": place - 0.36,
        "xanchor": "left",
        "text": f"<b>{label(brief(axis.name), 40)}</b>",
    }
    longest = max(40 // max(len(axis.ticks), 1), 6)
    values = [
        {
            **plain,
            "x": at,
            "y": place + 0.24,
            "xanchor": "left" if at == 0 else "right" if at == 1 else "center",
            "text": label(text, longest),
            "font": {"size": 11},
        }
        for at, text in axis.ticks
    ]
    return [named, *values]
