"""Metrics: what can be measured of a network, for which task, and whether more of it is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hpsearch.errors import did_you_mean

__all__ = ["METRICS", "RECORDED", "Measure", "extra", "misfit", "objective_problem"]

Task = Literal["both", "classes", "amounts"]


@dataclass(frozen=True)
class Measure:
    """One metric.

    Args:
        name: As histories call it; on validation ``val_`` stands in front.
        maximize: Whether more is better.
        task: What a network must answer for it: classes, amounts, or either.
        also: Names that Keras gives it.
        always: Whether it is recorded without being asked for.
    """

    name: str
    maximize: bool
    task: Task = "classes"
    also: tuple[str, ...] = ()
    always: bool = False


_ACCURACIES = ("acc", "sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy")

METRICS: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("loss", False, "both", always=True),
        Measure("accuracy", True, also=_ACCURACIES, always=True),
        Measure("auc", True),
        Measure("f1", True, also=("f1_score",)),
        Measure("precision", True),
        Measure("recall", True),
        Measure("mae", False, "amounts", ("mean_absolute_error",), always=True),
        Measure("rmse", False, "amounts", ("root_mean_squared_error",), always=True),
        Measure("r2", True, "amounts", ("r2_score",), always=True),
    )
}
"""By name, in the order in which histories show them."""

RECORDED = (*METRICS, *(f"val_{name}" for name in METRICS))
"""Every name that may stand in the history of a trial, training first."""


def extra(names: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Of some metrics, those that are only measured when asked for, each once, in the order of histories.

    Args:
        names: Metrics by name, with or without ``val_``.
    """
    bare = {name.removeprefix("val_") for name in names}
    return tuple(name for name, measure in METRICS.items() if name in bare and not measure.always)


def objective_problem(text: str, classes: int | None = None) -> str | None:
    """What is wrong with an objective such as ``max val_accuracy``; None when nothing is.

    Args:
        text: As it was written.
        classes: How many classes the data has; 0 where it has amounts, None where that is not known.
    """
    words = text.split()
    if len(words) == 2 and words[0] in ("max", "min"):
        measure = METRICS.get(words[1].removeprefix("val_"))
        if measure is not None and words[1].startswith("val_"):
            if classes is not None and (problem := misfit(words[1], classes)):
                return problem
            right = f"{'max' if measure.maximize else 'min'} {words[1]}"
            best = "largest" if measure.maximize else "smallest"
            wrong = f'got "{text}"; {words[1]} is best where it is {best}: write "{right}".'
            return None if " ".join(words) == right else wrong
    fitting = METRICS if classes is None else _fitting(classes)
    allowed = [f'"{"max" if METRICS[name].maximize else "min"} val_{name}"' for name in fitting]
    hint = did_you_mean(words[-1], [f"val_{name}" for name in fitting]) if words else ""
    return f'got "{text}"; allowed: {", ".join(allowed[:-1])} or {allowed[-1]}.{hint}'


def _fitting(classes: int) -> list[str]:
    """The metrics that can be measured on some data."""
    return [name for name, m in METRICS.items() if m.task == "both" or (m.task == "classes") == bool(classes)]


def misfit(name: str, classes: int) -> str | None:
    """Why a metric cannot be measured on some data; None where it can.

    Args:
        name: With or without ``val_``.
        classes: How many classes the data has; 0 where it has amounts.
    """
    fitting = _fitting(classes)
    if name.removeprefix("val_") in fitting:
        return None
    said = f"{classes} classes" if classes else "amounts, not classes"
    return f"got {name}, but the data has {said}; metrics that fit: {', '.join(fitting)}."
