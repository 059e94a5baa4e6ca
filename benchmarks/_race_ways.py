"""How a peer of the race makes and trains networks: by hand, or by a space file that hpsearch builds and trains."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from _race_network import BATCH, EPOCHS, network, settled
from _race_space import METRIC, Declared, Place, Told

from hpsearch.errors import HpsearchError
from hpsearch.phases import phases_of
from hpsearch.training.build import Built

__all__ = ["ByHand", "BySpace", "Log", "Way"]


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


class BySpace:
    """The networks of a space file, built and trained by hpsearch.

    Args:
        job: What to do.
        log: Who is told.
    """

    def __init__(self, job: dict[str, Any], log: Log) -> None:
        self._declared = Declared(Place(**job["space"]), job["blocks"], job["seed"])
        self._log = log
        self.epochs = self._declared.epochs
        self.arguments: dict[str, Any] = {}

    def hypermodel(self) -> Any:
        """One with a ``fit`` of its own."""
        import keras_tuner

        way = self

        class Hypermodel(keras_tuner.HyperModel):  # type: ignore[misc]  # Keras Tuner has no types
            def build(self, hp: Any) -> Any:
                try:
                    self.built = way._declared.built(hp)
                except HpsearchError as error:
                    raise keras_tuner.errors.FailedTrialError(str(error)) from error
                way._log.write(values=dict(hp.values))
                return self.built.network

            def fit(self, hp: Any, model: Any, **given: Any) -> float:
                return way._tuned(self.built, given)

        return Hypermodel()

    def _tuned(self, built: Built, given: dict[str, Any]) -> float:
        """Train as Keras Tuner asks; its callbacks keep the weights of the best epoch."""
        scores = [0.0]
        for callback in given["callbacks"]:
            callback.set_model(built.network)

        def told(epoch: int, score: float) -> bool:
            scores.append(score)
            for callback in given["callbacks"]:
                callback.on_epoch_end(epoch - 1, {METRIC: score})
            return False

        # Hyperband alone says from where to where; what others say is the most of any trial, and recipes know better.
        first = given.get("initial_epoch")
        self._train(built, told, None if first is None else given["epochs"] - first)
        return max(scores)

    def trained(self, trial: Any, told: Told) -> bool:
        """See `Way`."""
        try:
            built = self._declared.built(Suggested(trial))
        except HpsearchError:
            return False
        self._log.write(values=dict(trial.params))
        return self._train(built, told, None)

    def _train(self, built: Built, told: Told, epochs: int | None) -> bool:
        most = epochs or sum(phase.epochs for phase in phases_of(built.recipe.training, built.recipe.model))
        finished = True

        def written(epoch: int, score: float) -> bool:
            nonlocal finished
            self._log.write(epoch=epoch, score=score)
            finished = not told(epoch, score) or epoch == most
            # Leaving after the last epoch spares what hpsearch would measure for its own record.
            return not finished or epoch == most

        try:
            self._declared.trained(built, written, epochs)
        except HpsearchError:  # a loss that is not finite; what was scored before counts
            return False
        return finished
