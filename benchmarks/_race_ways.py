"""How a peer of the race makes and trains networks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from _race_network import BATCH, EPOCHS, network, settled

__all__ = ["ByHand", "Log", "Suggested", "Told", "Way"]

Told = Callable[[int, float], bool]
"""Gets the number of an epoch, from 1, and its score, and says whether to end."""


class Log:
    """Lines of JSON, each written at once.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def write(self, **said: Any) -> None:
        """Add a line.

        Args:
            said: What it says beside the time.
        """
        with Path(self.path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": time.time(), **said}) + "\n")


class Epochs(keras.callbacks.Callback):
    """Writes a line after every epoch.

    Args:
        log: Where.
    """

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write it."""
        self.log.write(epoch=epoch + 1, score=float((logs or {})["val_accuracy"]))


class Suggested:
    """An Optuna trial asked in the words of Keras Tuner.

    Args:
        trial: The trial.
    """

    def __init__(self, trial: Any) -> None:
        self.trial = trial

    def Choice(self, name: str, values: Sequence[Any]) -> Any:  # noqa: N802  # Keras Tuner's name
        """One of some values."""
        return self.trial.suggest_categorical(name, list(values))

    def Int(self, name: str, low: int, high: int, step: int = 1) -> int:  # noqa: N802  # see above
        """A whole number."""
        return int(self.trial.suggest_int(name, low, high, step=step))

    def Float(self, name: str, low: float, high: float, sampling: str = "linear") -> float:  # noqa: N802  # see above
        """A number."""
        return float(self.trial.suggest_float(name, low, high, log=sampling == "log"))


class Way(Protocol):
    """How networks are made and trained."""

    epochs: int
    """The most of a trial."""
    arguments: dict[str, Any]
    """What `tuner.search` is given."""

    def hypermodel(self) -> Any:
        """What Keras Tuner searches."""

    def trained(self, trial: Any, told: Told) -> bool:
        """Build the network that an Optuna trial chooses, and train it.

        Returns:
            Whether nobody ended it before its last epoch.
        """


class ByHand:
    """The networks of the race as somebody writes them by hand.

    Args:
        job: What to do.
        log: Who is told.
    """

    epochs = EPOCHS

    def __init__(self, job: dict[str, Any], log: Log) -> None:
        with np.load(job["data"]) as arrays:
            parts = {name: arrays[name] for name in ("x_train", "y_train", "x_validation", "y_validation")}
        x, seen = (parts[name].astype("float32") / job["white"] for name in ("x_train", "x_validation"))
        self._job, self._log = job, log
        callbacks = [settled(x), Epochs(log)] if job["blocks"] == "hpsearch" else [Epochs(log)]
        self.arguments = {
            "x": x,
            "y": parts["y_train"],
            "validation_data": (seen, parts["y_validation"]),
            "batch_size": BATCH,
            "callbacks": callbacks,
            "verbose": 0,
        }

    def hypermodel(self) -> Any:
        """A function that builds."""

        def build(hp: Any) -> Any:
            model = network(hp, self._job["shape"], self._job["classes"])
            self._log.write(values=dict(hp.values))
            return model

        return build

    def trained(self, trial: Any, told: Told) -> bool:
        """See `Way`."""
        model = network(Suggested(trial), self._job["shape"], self._job["classes"])
        self._log.write(values=dict(trial.params))
        callbacks = [*self.arguments["callbacks"], Pruning(told)]
        history = model.fit(**{**self.arguments, "callbacks": callbacks}, epochs=EPOCHS)
        return len(history.epoch) == EPOCHS


class Pruning(keras.callbacks.Callback):
    """Ends training where it is told to.

    Args:
        told: Gets an epoch and its score, and says whether to end.
    """

    def __init__(self, told: Told) -> None:
        super().__init__()
        self.told = told

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ask."""
        if self.told(epoch + 1, float((logs or {})["val_accuracy"])):
            self.model.stop_training = True
