"""What a score costs: accuracy against parameters, and what of it is only memory of the training images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpsearch.results.leaderboard import Row
from hpsearch.results.pareto import front
from hpsearch.results.report.facts import Facts
from hpsearch.results.report.figure import (
    FAINT,
    FOUND,
    Figure,
    diamonds,
    dots,
    frame,
    hover,
    label,
    outside_of_frame,
    rounded,
)
from hpsearch.wording import count, score

__all__ = ["against_parameters", "gaps"]


def against_parameters(facts: Facts) -> Figure | None:
    """Score against the number of parameters, with the Pareto front.

    Args:
        facts: The study.
    """
    rows = [row for row in facts.ranked if row.trial.parameters]
    if not rows:
        return None
    places = front([(row.validation, row.trial.parameters) for row in rows], (1 if facts.maximize else -1, -1))
    best = sorted((rows[place] for place in places), key=lambda row: (row.trial.parameters or 0, row.trial.number))
    searched, made = _split(rows)
    data = [
        dots("trials", searched, _sizes(searched), _scores(searched)),
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "best for their size",
            "x": _sizes(best),
            "y": _scores(best),
            "text": [f"{hover(row)}, {count(row.trial.parameters)} parameters" for row in best],
            "hovertemplate": "%{text}<extra></extra>",
            "line": {"color": FOUND, "width": 2, "shape": "hv"},
            "marker": {"color": FOUND, "size": 9},
        },
        diamonds("hand-made", made, _sizes(made), _scores(made)),
    ]
    within, outside = frame(
        [row.validation for row in rows if row.validation is not None],
        facts.maximize,
        [row.validation for row in [*best, *made] if row.validation is not None],
    )
    return Figure(
        "parameters",
        "Score against parameters",
        "Up and to the left is better. The line joins the networks that no smaller one beats: when the last digit does "
        "not matter, take one that lies further to the left."
        if facts.maximize
        else "Down and to the left is better. The line joins the networks that no smaller one beats.",
        f"Scatter of {len(rows):,} trials. Best for their size: "
        + ", ".join(f"{_called(row)} {score(row.validation)} with {count(row.trial.parameters)}" for row in best[-8:])
        + (f". {outside_of_frame(outside)}." if outside else "."),
        [trace for trace in data if trace["x"]],
        {
            "xaxis": {"type": "log", "title": {"text": "parameters"}, **_ticks(rows)},
            "yaxis": {"title": {"text": label(facts.metric)}, **({"range": within} if within else {})},
        },
    )


def gaps(facts: Facts) -> Figure | None:
    """Validation against training.

    Args:
        facts: The study.
    """
    rows = [row for row in facts.ranked if row.train is not None]
    if not rows:
        return None
    searched, made = _split(rows)
    values = [value for row in rows for value in (row.train, row.validation) if value is not None]
    low, high = min(values), max(values)
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "equal",
            "x": [rounded(low), rounded(high)],
            "y": [rounded(low), rounded(high)],
            "line": {"color": FAINT, "width": 1.5},
            "hoverinfo": "skip",
        },
        dots("trials", searched, [rounded(row.train) for row in searched], _scores(searched)),
        diamonds("hand-made", made, [rounded(row.train) for row in made], _scores(made)),
    ]
    side = "below" if facts.maximize else "above"
    best = facts.best
    of_best = f" The best trial: {score(best.train)} and {score(best.validation)}." if best and best.train else ""
    metric = facts.metric.removeprefix("val_")
    return Figure(
        "gap",
        "Training against validation",
        f"On the line a network does as well on {facts.examples} it never saw as on those it was trained on. The "
        f"further {side} the line, the more it has learned by heart: more dropout, augmentation or data would help.",
        f"Scatter of {len(rows):,} trials, {metric} on training {facts.examples} across, {facts.metric} upwards."
        f"{of_best}",
        [trace for trace in data if trace["x"]],
        {
            "xaxis": {"title": {"text": label(f"{metric} on training")}},
            "yaxis": {"title": {"text": label(facts.metric)}},
        },
    )


def _ticks(rows: Sequence[Row]) -> dict[str, Any]:
    """Round sizes to mark: 10k, 20k, 50k where they lie close together, else 10k, 100k, 1M."""
    sizes = [row.trial.parameters or 1 for row in rows]
    steps = (1, 2, 5) if max(sizes) / min(sizes) < 100 else (1,)
    marks = [step * 10**power for power in range(13) for step in steps]
    return {"tickvals": marks, "ticktext": [_short(mark) for mark in marks]}


def _short(size: int) -> str:
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if size >= unit:
            return f"{size // unit}{name}"
    return str(size)


def _split(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Those of the search, and the hand-made ones."""
    return [row for row in rows if not row.trial.baseline], [row for row in rows if row.trial.baseline]


def _sizes(rows: Sequence[Row]) -> list[Any]:
    return [row.trial.parameters for row in rows]


def _scores(rows: Sequence[Row]) -> list[float | None]:
    return [rounded(row.validation) for row in rows]


def _called(row: Row) -> str:
    return row.trial.baseline or f"trial {row.trial.number}"
