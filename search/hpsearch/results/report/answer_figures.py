"""What the best network gets wrong: its confusion matrix or, of amounts, what it says against what is true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hpsearch.results.report.facts import Facts
from hpsearch.results.report.figure import FAINT, FOUND, HAND, PANEL, Figure, label, rounded
from hpsearch.results.report.predictions import Answers

__all__ = ["class_name", "confusion", "told", "worst_pairs"]

NUMBERED = 12
"""Up to so many classes each cell shows its number."""
NAMED = 30
"""Up to so many classes the axes show their names."""
DOTS = 3000
"""Of more rows than this evenly spaced ones are drawn."""


def class_name(facts: Facts, position: float) -> str:
    """The name of a class.

    Args:
        facts: The study.
        position: Its position among the classes.
    """
    names = facts.info.class_names
    return names[int(position)] if 0 <= int(position) < len(names) else f"class {int(position)}"


def worst_pairs(answers: Answers, most: int = 5) -> list[tuple[int, int, int]]:
    """The classes that are taken for one another most often: what it is, what it is taken for, how often.

    Args:
        answers: What the network answers.
        most: At most so many.
    """
    table = answers.confusion()
    pairs = [(a, b, n) for a, row in enumerate(table) for b, n in enumerate(row) if a != b and n]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))[:most]


def confusion(facts: Facts, answers: Answers) -> Figure:
    """Which class is taken for which.

    Args:
        facts: The study.
        answers: What the network answers.
    """
    table = answers.confusion()
    names = [label(class_name(facts, position), 16) for position in range(answers.classes)]
    # Two classes whose names begin alike would be one to Plotly, so that places are numbers and names their texts.
    places = list(range(answers.classes))
    traces = [
        _cells(table, names, lambda a, b: a == b, [[0, PANEL], [1, FOUND]]),
        _cells(table, names, lambda a, b: a != b, [[0, PANEL], [0.0001, "var(--hand-soft)"], [1, HAND]]),
    ]
    axis: dict[str, Any] = {"tickvals": places, "ticktext": names, "showgrid": False, "zeroline": False}
    if answers.classes > NAMED:
        axis = {"showticklabels": False, "showgrid": False, "zeroline": False}
    total = len(answers.labels)
    worst = ", ".join(f"{class_name(facts, a)} for {class_name(facts, b)} {n}" for a, b, n in worst_pairs(answers))
    return Figure(
        "confusion",
        "What is taken for what",
        f"Rows are what the {total:,} validation {facts.examples} are, columns what the network says. Off the diagonal "
        "are its mistakes: the stronger the colour, the larger the share of a class that is taken for another.",
        f"Confusion matrix of {answers.classes} classes: {answers.correct:,} of {total:,} right."
        + (f" Most often wrong: {worst}." if worst else ""),
        traces,
        {
            "xaxis": {**axis, "title": {"text": "the network says"}, "automargin": True, "fixedrange": True},
            "yaxis": {
                **axis,
                "title": {"text": "it is"},
                "autorange": "reversed",
                "automargin": True,
                "fixedrange": True,
            },
            "showlegend": False,
        },
        min(max(300, 34 * answers.classes + 120), 620),
    )


def _cells(
    table: Sequence[Sequence[int]],
    names: Sequence[str],
    drawn: Callable[[int, int], bool],
    colors: Sequence[Sequence[Any]],
) -> dict[str, Any]:
    """Some cells of the table, coloured by their share of the row: the right answers and the mistakes, each in turn."""
    places = list(range(len(names)))
    shares = [
        [round(number / (sum(row) or 1), 4) if drawn(a, b) else None for b, number in enumerate(row)]
        for a, row in enumerate(table)
    ]
    texts = [
        [f"{number:,}" if number and drawn(a, b) else "" for b, number in enumerate(row)] for a, row in enumerate(table)
    ]
    said = [
        [f"{names[a]} taken for {names[b]}: {number:,}" for b, number in enumerate(row)] for a, row in enumerate(table)
    ]
    trace = {
        "type": "heatmap",
        "x": places,
        "y": places,
        "z": shares,
        "zmin": 0,
        "zmax": 1,  # all of a row, so that a single mistake is not shown as a disaster
        "customdata": said,
        "hovertemplate": "%{customdata}<extra></extra>",
        "hoverongaps": False,
        "colorscale": colors,
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }
    return trace | ({"text": texts, "texttemplate": "%{text}"} if len(names) <= NUMBERED else {})


def told(answers: Answers) -> Figure:
    """Amounts as the network says them against those that are true.

    Args:
        answers: What the network answers.
    """
    step = max(len(answers.labels) // DOTS, 1)
    true, said = answers.labels[::step], answers.said[::step]
    ends = _ends([*true, *said])
    return Figure(
        "told",
        "What it says against what is true",
        "Each dot is a row of the validation part; on the line it is right. A bend says that large amounts are "
        "under- or overestimated as a whole." + (f" Every {step}th row is drawn." if step > 1 else ""),
        f"Scatter of {len(true):,} validation rows, the true amount across, the network's upwards.",
        [
            {
                "type": "scatter",
                "mode": "lines",
                "name": "right",
                "x": ends,
                "y": ends,
                "line": {"color": FAINT, "width": 1.5},
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "markers",
                "name": "validation rows",
                "x": [rounded(value) for value in true],
                "y": [rounded(value) for value in said],
                "marker": {"color": FOUND, "size": 5, "opacity": 0.5},
                "hovertemplate": "true %{x}, said %{y}<extra></extra>",
            },
        ],
        {"xaxis": {"title": {"text": "true"}}, "yaxis": {"title": {"text": "the network says"}}},
    )


def _ends(values: Sequence[float]) -> list[float | None]:
    return [rounded(min(values)), rounded(max(values))]
