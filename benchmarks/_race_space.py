"""A space file in the hands of a peer: Keras Tuner or Optuna choose, hpsearch builds and trains, in their process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _race_data import UNSEEN
from _race_network import Hyperparameters

from hpsearch.addresses import Choices, Parameter
from hpsearch.blocks.files import look_in
from hpsearch.data.loading import load_search_data, load_test_part
from hpsearch.data.parts import Part
from hpsearch.declare import transformed
from hpsearch.describe import describe
from hpsearch.domains import Scalar
from hpsearch.resolve import Suggest, resolve
from hpsearch.spacefile import load_space
from hpsearch.study.trial import Epoch
from hpsearch.training.build import Built, build
from hpsearch.training.fit import fit
from hpsearch.training.inputs import loaded_inputs
from hpsearch.training.scoring import answers, scores
from hpsearch.training.watch import Leaving, Verdict, Watch

__all__ = ["METRIC", "Declared", "Place", "Told", "asked", "score_unseen", "unseen"]

METRIC = "val_accuracy"
Told = Callable[[int, float], bool]
"""Gets the number of an epoch, from 1, and its score, and says whether to end."""
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
        seed: Of weights, shuffles and dropout.
    """

    def __init__(self, place: Place, blocks: str, seed: int) -> None:
        look_in(data=place.folder)
        space = load_space(Path(place.space))
        data = load_search_data(space.declaration, data_dir=place.folder, subset=place.subset)
        self.epochs = describe(space).most_epochs
        self._search = space.search
        self._inputs = loaded_inputs(space.declaration, data)
        self._train, self._validation = data.train, data.validation
        self._keras = blocks == "keras"
        self._seed = seed

    def built(self, hp: Hyperparameters) -> Built:
        """The network that is chosen.

        Args:
            hp: Who chooses.

        Raises:
            HpsearchError: What was chosen does not fit the data.
        """
        choose = asked(hp)
        recipe = resolve(self._search, choose)
        return build(transformed(recipe, _moving) if self._keras else recipe, self._inputs, choose)

    def trained(self, built: Built, told: Told | None = None, epochs: int | None = None) -> None:
        """Train a network; where nobody ended it, it is left with the weights of its best epoch.

        Args:
            built: The network and its recipe.
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
                seed=self._seed,
                watch=Watch() if told is None else _Listening(told),
                epochs=epochs,
                engine="fit",
            )
        except Leaving:  # it was told to; what it scored is known by then
            return


class _Listening(Watch):
    def __init__(self, told: Told) -> None:
        self._told = told

    def epoch(self, epoch: Epoch, checkpoint: bool) -> Verdict:
        return "leave" if self._told(epoch.epoch, float(epoch.metrics[METRIC])) else "go"


def _moving(part: Any) -> Any:
    """A part of a recipe, whose statistics of batch normalisation follow as slowly as where Keras is told nothing."""
    left_open = getattr(part, "batchnorm_momentum", MOMENTUM) is None and not getattr(part, "frozen", False)
    return replace(part, batchnorm_momentum=MOMENTUM) if left_open else part


def asked(hp: Hyperparameters) -> Suggest:
    """The choices of a space in the words of Keras Tuner.

    Args:
        hp: Who chooses.
    """

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
