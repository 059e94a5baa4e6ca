"""How well a retrained network answers on the test part."""

from __future__ import annotations

from dataclasses import dataclass

from hpsearch.results.intervals import wilson

__all__ = ["Tested", "tested"]


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
        loss: Mean cross-entropy on the test part; of amounts the mean squared error.
        mae: Mean absolute error of amounts, in their unit.
        rmse: Root of the mean squared error, in their unit.
        r2: Share of the variance that is explained.
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

    @property
    def interval(self) -> str:
        """The accuracy, or the mean absolute error, with its interval."""
        if self.accuracy is not None:
            return f"{self.accuracy:.4f} ({self.low:.4f} to {self.high:.4f})"
        return f"{self.mae:,.6g} ({self.low:,.6g} to {self.high:,.6g})"

    @property
    def metric(self) -> str:
        """What `interval` is of."""
        return "mae" if self.accuracy is None else "accuracy"


def tested(
    trial: int, name: str, validation: float, parameters: int, epochs: int, scores: dict[str, float], images: int
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
    """
    if "accuracy" in scores:
        low, high = wilson(int(scores["correct"]), images)
        return Tested(trial, name, validation, parameters, epochs, scores["accuracy"], low, high, scores["loss"])
    mae, error = scores["mae"], 1.96 * scores["mae_error"]
    low, high = max(mae - error, 0.0), mae + error
    errors = {"mae": mae, "rmse": scores["rmse"], "r2": scores["r2"]}
    return Tested(trial, name, validation, parameters, epochs, None, low, high, scores["loss"], **errors)
