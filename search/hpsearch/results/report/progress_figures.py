"""How the search went: the best score so far, and how the best trials learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpsearch.results.report.facts import Curve, Facts
from hpsearch.results.report.figure import FOUND, HAND, Figure, diamonds, dots, frame, label, outside_of_frame, rounded
from hpsearch.wording import duration, score

__all__ = ["best_so_far", "learning_curves"]

SERIES = tuple(f"var(--series-{number})" for number in range(1, 7))


def best_so_far(facts: Facts) -> Figure | None:
    """The best score of the search over the hours of training.

    Args:
        facts: The study.
    """
    moments = facts.moments
    if not moments:
        return None
    found = [moment for moment in moments if not moment.row.trial.baseline]
    made = [moment for moment in moments if moment.row.trial.baseline]
    scale, unit = _unit(moments[-1].hours)
    hand = facts.hand_made.validation if facts.hand_made else None
    data = []
    if found:
        x = [rounded(moment.hours * scale) for moment in found]
        rows = [moment.row for moment in found]
        data.append(dots("trials", rows, x, [rounded(row.validation) for row in rows]))
        data.append(_steps([*x, rounded(moments[-1].hours * scale)], [m.best for m in found] + [found[-1].best]))
    if made:
        rows = [moment.row for moment in made]
        x = [rounded(moment.hours * scale) for moment in made]
        data.append(diamonds("hand-made", rows, x, [rounded(row.validation) for row in rows]))
    if hand is not None:
        data.append(_level([0, rounded(moments[-1].hours * scale)], hand))
    values = [row.validation for row in facts.ranked if row.validation is not None]
    within, outside = frame(values, facts.maximize, [hand] if hand is not None else [])
    axis: dict[str, Any] = {"title": {"text": label(facts.metric)}, **({"range": within} if within else {})}
    return Figure(
        "best-so-far",
        "Best so far",
        "The line rises whenever the search found a better network; where it has long been flat, more hours bring "
        "little. Each dot is a trial, each diamond a network made by hand."
        + (f" {outside_of_frame(outside)}; a double click shows them." if outside else ""),
        _said_of_best(facts),
        data,
        {"xaxis": {"title": {"text": f"{unit} of training"}, "rangemode": "tozero"}, "yaxis": axis},
    )


def _unit(hours: float) -> tuple[float, str]:
    return (1.0, "hours") if hours >= 1.5 else (60.0, "minutes")


def _steps(x: list[float | None], y: list[float | None]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "best of the search",
        "x": x,
        "y": [rounded(value) for value in y],
        "line": {"color": FOUND, "width": 3, "shape": "hv"},
        "hovertemplate": "best so far: %{y}<extra></extra>",
    }


def _level(x: list[float | None], value: float) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "best hand-made",
        "x": x,
        "y": [rounded(value)] * 2,
        "line": {"color": HAND, "width": 2, "dash": "dash"},
        "hovertemplate": "best hand-made: %{y}<extra></extra>",
    }


def _said_of_best(facts: Facts) -> str:
    found, made = facts.found, facts.hand_made
    said = [f"Best {facts.metric} so far over {duration(facts.moments[-1].hours * 3600)} of training."]
    if found:
        said.append(f"The search reached {score(found.validation)} with trial {found.trial.name}.")
    if made:
        said.append(f"The best hand-made network, {made.trial.name}, has {score(made.validation)}.")
    return " ".join(said)


def learning_curves(facts: Facts) -> Figure | None:
    """The objective over the epochs of the best trials and of the best hand-made networks.

    Args:
        facts: The study.
    """
    curves = [curve for curve in facts.curves if any(facts.metric in epoch.metrics for epoch in curve.epochs)]
    if not curves:
        return None
    found = [curve for curve in curves if not curve.row.trial.baseline]
    made = [curve for curve in curves if curve.row.trial.baseline]
    data = [_curve(curve, facts, SERIES[place % len(SERIES)], place == 0) for place, curve in enumerate(found)]
    data += [_curve(curve, facts, HAND, place == 0, "dash") for place, curve in enumerate(made)]
    trained = [_training_curve(group[0], facts) for group in (found, made) if group]
    data += [curve for curve in trained if curve is not None]
    names = ", ".join(curve.row.trial.name for curve in curves)
    return Figure(
        "learning-curves",
        "Learning curves",
        "Validation, epoch by epoch: the best trials as lines, hand-made networks dashed; the mark is the epoch that "
        "counts. Curves that still rise at their end want more epochs. Dotted lines are the same metric on the "
        f"{facts.examples} that were trained on, while training: far above the solid line means overfitting.",
        f"{facts.metric} by epoch for {names}.",
        data,
        {"xaxis": {"title": {"text": "epoch"}, **_whole(curves)}, "yaxis": {"title": {"text": label(facts.metric)}}},
        420,
    )


def _whole(curves: Sequence[Curve]) -> dict[str, Any]:
    """Ticks at whole epochs: 1, 2, 5, 10, 20 or so apart, ten of them at the most."""
    last = max(epoch.epoch for curve in curves for epoch in curve.epochs)
    steps = (step * 10**power for power in range(9) for step in (1, 2, 5))
    return {"tick0": 0, "dtick": next(step for step in steps if last <= 10 * step), "tickformat": "d"}


def _curve(curve: Curve, facts: Facts, color: str, strong: bool, dash: str = "solid") -> dict[str, Any]:
    trial = curve.row.trial
    epochs = [epoch for epoch in curve.epochs if facts.metric in epoch.metrics]
    sizes = [9 if epoch.epoch == trial.best_epoch else 0 for epoch in epochs]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": label(trial.baseline or f"trial {trial.number}"),
        "x": [epoch.epoch for epoch in epochs],
        "y": [rounded(epoch.metrics[facts.metric]) for epoch in epochs],
        "line": {"color": color, "width": 3 if strong else 1.5, "dash": dash},
        "marker": {"color": color, "size": sizes, "symbol": "diamond" if trial.baseline else "circle"},
        "hovertemplate": "epoch %{x}: %{y}",
    }


def _training_curve(curve: Curve, facts: Facts) -> dict[str, Any] | None:
    """The best of a group on what it was trained on."""
    metric = facts.metric.removeprefix("val_")
    epochs = [epoch for epoch in curve.epochs if metric in epoch.metrics]
    if not epochs:
        return None
    color = HAND if curve.row.trial.baseline else SERIES[0]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{label(curve.row.trial.baseline or f'trial {curve.row.trial.number}', 20)}, training",
        "x": [epoch.epoch for epoch in epochs],
        "y": [rounded(epoch.metrics[metric]) for epoch in epochs],
        "line": {"color": color, "width": 1.5, "dash": "dot"},
        "hovertemplate": "epoch %{x}: %{y}",
        "opacity": 0.8,
    }
