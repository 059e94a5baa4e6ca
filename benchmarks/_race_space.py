"""A space file in the hands of a peer: Keras Tuner or Optuna choose, hpsearch builds and trains, in their process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _race_data import UNSEEN
from _race_network import Hyperparameters
from _race_ways import Log, Suggested, Told

from hpsearch.addresses import Choices, Parameter
from hpsearch.data.loading import load_search_data, load_test_part
from hpsearch.data.parts import Part
from hpsearch.declare import transformed
from hpsearch.describe import describe
from hpsearch.domains import Scalar
from hpsearch.errors import HpsearchError
from hpsearch.phases import phases_of
from hpsearch.resolve import Suggest, resolve
from hpsearch.spacefile import load_space
from hpsearch.study.trial import Epoch
from hpsearch.training.build import Built, build
from hpsearch.training.fit import fit
from hpsearch.training.inputs import loaded_inputs
from hpsearch.training.scoring import answers, scores
from hpsearch.training.watch import Leaving, Verdict, Watch

__all__ = ["BySpace", "Declared", "Place", "score_unseen", "unseen"]

METRIC = "val_accuracy"
MOMENTUM = 0.99
"""Of batch normalisation, where Keras is told nothing."""


@dataclass(frozen=True)
class Place:
    """A space file and its data.

    Args:
        space: The file.
        data_dir: Where data is looked for first, or None.
        subset: How many examples to train on, or None for all.
    """

    space: str
    data_dir: str | None
    subset: int | None

    @property
    def folder(self) -> Path | None:
        """Where data is looked for first."""
        return None if self.data_dir is None else Path(self.data_dir)


class Declared:
    """The networks of a space, as a peer searches them.

    Args:
        place: The space and its data.
        blocks: ``keras`` where batch normalisation is as Keras has it when told nothing, else ``hpsearch``.
    """

    def __init__(self, place: Place, blocks: str) -> None:
        space = load_space(Path(place.space))
        data = load_search_data(space.declaration, data_dir=place.folder, subset=place.subset)
        self.epochs = describe(space).most_epochs
        self._search = space.search
        self._inputs = loaded_inputs(space.declaration, data)
        self._train, self._validation = data.train, data.validation
        self._keras = blocks == "keras"

    def built(self, hp: Hyperparameters) -> Built:
        """The network that is chosen.

        Args:
            hp: Who chooses.

        Raises:
            HpsearchError: What was chosen does not fit the data.
        """
        choose = _asked(hp)
        recipe = resolve(self._search, choose)
        return build(transformed(recipe, _moving) if self._keras else recipe, self._inputs, choose)

    def trained(self, built: Built, seed: int, told: Told | None = None, epochs: int | None = None) -> None:
        """Train a network; where nobody ended it, it is left with the weights of its best epoch.

        Args:
            built: The network and its recipe.
            seed: Of shuffles and dropout.
            told: Who is told of each epoch, and may end it.
            epochs: How many; None leaves it to the recipe.

        Raises:
            HpsearchError: The loss is not finite any more.
        """
        try:
            fit(
                built,
                self._train,
                self._validation,
                self._inputs,
                metric=METRIC,
                maximize=True,
                seed=seed,
                watch=Watch() if told is None else _Listening(told),
                epochs=epochs,
                engine="fit",
            )
        except Leaving:  # it was told to; what it scored is known by then
            return


class BySpace:
    """The networks of a space file, built and trained by hpsearch.

    Args:
        job: What to do.
        log: Who is told.
    """

    def __init__(self, job: dict[str, Any], log: Log) -> None:
        self._declared = Declared(Place(**job["space"]), job["blocks"])
        self._seed = job["seed"]
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
            self._declared.trained(built, self._seed, written, epochs)
        except HpsearchError:  # a loss that is not finite; what was scored before counts
            return False
        return finished


class _Listening(Watch):
    def __init__(self, told: Told) -> None:
        self._told = told

    def epoch(self, epoch: Epoch, checkpoint: bool) -> Verdict:
        return "leave" if self._told(epoch.epoch, float(epoch.metrics[METRIC])) else "go"


def _moving(part: Any) -> Any:
    """A part of a recipe, whose statistics of batch normalisation follow as slowly as where Keras is told nothing."""
    left_open = getattr(part, "batchnorm_momentum", MOMENTUM) is None and not getattr(part, "frozen", False)
    return replace(part, batchnorm_momentum=MOMENTUM) if left_open else part


def _asked(hp: Hyperparameters) -> Suggest:
    """The choices of a space in the words of Keras Tuner."""

    def suggest(parameter: Parameter) -> Scalar:
        name, domain = parameter.name, parameter.domain
        if isinstance(domain, Choices):
            alike = len({type(label) for label in domain.labels}) == 1 and not isinstance(domain.labels[0], bool)
            words = list(domain.labels) if alike else [str(label) for label in domain.labels]
            return domain.labels[words.index(hp.Choice(name, words))]
        if domain.low == domain.high:
            return domain.low
        if domain.log or np.isinf(domain.count):
            return domain.snapped(hp.Float(name, domain.low, domain.high, sampling="log" if domain.log else "linear"))
        step = 1 if domain.step is None else domain.step
        return domain.snapped(domain.low + step * hp.Int(name, 0, int(domain.count) - 1))

    return suggest


def unseen(place: Place) -> Part:
    """Examples that nobody searched on.

    Args:
        place: The space and its data.
    """
    part = load_test_part(load_space(Path(place.space)).declaration, data_dir=place.folder)
    return part.take(np.sort(np.random.default_rng(0).permutation(len(part))[:UNSEEN]))


def score_unseen(model: Any, part: Part) -> float:
    """The share of examples that a model tells right.

    Args:
        model: A Keras model.
        part: The examples.
    """
    return float(scores(answers(model, part), part.labels)["accuracy"])
