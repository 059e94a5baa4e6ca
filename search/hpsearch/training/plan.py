"""The phases of a training, and the model that goes through them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from hpsearch.data.parts import Part
from hpsearch.phases import phases_of
from hpsearch.recipe import Model
from hpsearch.training.amounts import standardise
from hpsearch.training.build import Built
from hpsearch.training.compiling import Trained
from hpsearch.training.inputs import Inputs
from hpsearch.training.losses import class_weights
from hpsearch.training.tuning import Layers

__all__ = ["Plan"]


class Plan:
    """The phases of a training, and the model that goes through them.

    Args:
        built: The network and its recipe.
        inputs: What the network was built for.
        train: What it is trained on.
        seed: Where augmentation starts.
        metrics: What is measured besides loss and accuracy.
        epochs: How many epochs there are in all, where that is not left to the recipe.
    """

    def __init__(
        self, built: Built, inputs: Inputs, train: Part, seed: int, metrics: Sequence[str], epochs: int | None
    ) -> None:
        training = built.recipe.training
        if isinstance(built.recipe.model, Model) and not inputs.classes:
            standardise(built.network, train.labels)
        phases = phases_of(training, built.recipe.model)
        over = max((epochs or 0) - sum(phase.epochs for phase in phases), 0)
        self.built = built
        self.phases = (*phases[:-1], replace(phases[-1], epochs=phases[-1].epochs + over))
        self.layers = Layers(built.network)
        self.trained = Trained(built, inputs, seed, metrics)
        self.steps = math.ceil(len(train) / training.batch_size)
        self.class_weight = class_weights(training.class_weight, train.labels, inputs.classes)

    @property
    def trainer(self) -> Any:
        """The model that is trained."""
        return self.trained.trainer

    @property
    def epochs(self) -> tuple[int, ...]:
        """The most epochs of each phase."""
        return tuple(phase.epochs for phase in self.phases)

    @property
    def follows_steps(self) -> bool:
        """Whether the learning rate is a matter of the step, and needs no callback."""
        optimizer = self.trainer.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        return isinstance(getattr(optimizer, "_learning_rate", None), keras.optimizers.schedules.LearningRateSchedule)

    def enter(self, number: int) -> None:
        """Make the model ready for a phase.

        Args:
            number: Which, from 0.
        """
        phase = self.phases[number]
        if len(self.phases) > 1:
            self.layers.learn(phase.tuning)
        self.trained.compile(phase, self.steps * phase.epochs)
