"""How well a retrained network answers on the test part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpsearch.metrics import METRICS
from hpsearch.results.intervals import Bounds, interval

__all__ = ["Tested", "Told", "said", "tested"]


@dataclass(frozen=True)
class Told:
    """A score on the test part.

    Args:
        metric: Which, without ``val_``.
        value: The score; of amounts in their unit.
        bounds: Its 95 % interval; None where none is known that holds.
    """

    metric: str
    value: float
    bounds: Bounds | None

    def __str__(self) -> str:
        if self.bounds is None:
            return said(self.value)
        return f"{said(self.value)} ({said(self.bounds[0])} to {said(self.bounds[1])})"


@dataclass(frozen=True)
class Tested:
    """A retrained network and its scores on the test part.

    Args:
        trial: Its number.
        name: What people call it.
        validation: Its validation score: the mean of the finals, or that of the search.
        parameters: How many parameters it has.
        epochs: How many epochs it was retrained.
        accuracy: On the test part; None where amounts are told.
        low: Lower bound of the 95 % interval of the accuracy, or of the mean absolute error.
        high: Upper bound.
        loss: Mean cross-entropy on the test part, without what a recipe adds to it; of amounts the mean squared error.
        mae: Mean absolute error of amounts, in their unit.
        rmse: Root of the mean squared error, in their unit.
        r2: Share of the variance that is explained.
        metric: What the search looked at, without ``val_``; empty in what was written before this was kept.
        value: That metric on the test part; None where it was not kept, or, of a loss of amounts, is of another unit.
        value_low: Lower bound of its 95 % interval; None where none is known that holds.
        value_high: Upper bound.
        auc: Area under the ROC curve on the test part; None where amounts are told.
        f1: Harmonic mean of precision and recall there.
        precision: Of the answers that name a class, the share that is right.
        recall: Of the rows of a class, the share that is recognised.
    """

    trial: int
    name: str
    validation: float
    parameters: int
    epochs: int
    accuracy: float | None
    low: float
    high: float
    loss: float
    mae: float | None = None
    rmse: float | None = None
    r2: float | None = None
    metric: str = ""
    value: float | None = None
    value_low: float | None = None
    value_high: float | None = None
    auc: float | None = None
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None

    @property
    def told(self) -> list[Told]:
        """What people are told first: the metric of the search, then accuracy, or the mean absolute error."""
        usual = Told("mae", self.mae, (self.low, self.high)) if self.mae is not None else None
        if self.accuracy is not None:
            usual = Told("accuracy", self.accuracy, (self.low, self.high))
        found = [usual] if usual is not None else []
        if self.value is not None and not (usual is not None and self.metric == usual.metric):
            known = self.value_low is not None and self.value_high is not None
            bounds = (self.value_low or 0.0, self.value_high or 0.0) if known else None
            found.insert(0, Told(self.metric, self.value, bounds))
        return found

    @property
    def loss_apart(self) -> bool:
        """Whether the loss is not among what is told first."""
        return all(each.metric != "loss" for each in self.told)


def said(value: float) -> str:
    """A score in words: four decimals, six digits of an amount that is large.

    Args:
        value: The score.
    """
    return f"{value:.4f}" if 0.001 <= abs(value) < 100 or not value else f"{value:,.6g}"


def tested(
    trial: int,
    name: str,
    validation: float,
    parameters: int,
    epochs: int,
    scores: Mapping[str, float],
    images: int,
    metric: str,
) -> Tested:
    """A network with its scores.

    Args:
        trial: Its number.
        name: What people call it.
        validation: Its validation score: the mean of the finals, or that of the search.
        parameters: How many parameters it has.
        epochs: How many epochs it was retrained.
        scores: What it scores on the test part: accuracy, correct, loss, or mae, mae_error, rmse, r2, loss.
        images: How many rows that part has.
        metric: What the search looked at, with or without ``val_``.
    """
    metric = metric.removeprefix("val_")
    usual = "accuracy" if "accuracy" in scores else "mae"
    low, high = interval(usual, scores, images) or (scores[usual], scores[usual])
    values = {name: scores.get(name) for name in METRICS if name != "loss"}
    # The loss of a search tells amounts in standard deviations, which nobody can read beside their unit.
    value = None if metric == "loss" and usual == "mae" else scores.get(metric)
    bounds = interval(metric, scores, images) if value is not None else None
    value_low, value_high = bounds or (None, None)
    return Tested(
        trial,
        name,
        validation,
        parameters,
        epochs,
        low=low,
        high=high,
        loss=scores["loss"],
        metric=metric,
        value=value,
        value_low=value_low,
        value_high=value_high,
        **values,
    )
