"""The phases of a training, and the model that goes through them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras

from hpsearch.data.parts import Part
from hpsearch.phases import phases_of
from hpsearch.recipe import Model
from hpsearch.training.amounts import standardise
from hpsearch.training.build import Built
from hpsearch.training.compiling import Trained
from hpsearch.training.copies import copied
from hpsearch.training.features import features_of, halves
from hpsearch.training.inputs import Inputs, fed
from hpsearch.training.knobs import shape_of
from hpsearch.training.losses import class_weights
from hpsearch.training.tuning import Layers
from hpsearch.training.whitening import whiten

__all__ = ["Plan"]


class Plan:
    """The phases of a training, and the model that goes through them.

    While a whole body is frozen, and sees the same images in every epoch, the head alone is trained, on features that
    were computed once. It holds the layers of the network, which is complete again at any time.

    Args:
        built: The network and its recipe.
        inputs: What the network was built for.
        parts: What it is trained on, and what it is validated on, if anything.
        seed: Where augmentation starts.
        metrics: What is measured besides loss and accuracy.
        epochs: How many epochs there are in all, where that is not left to the recipe.
        tick: Called while features are computed; what it raises ends that.
    """

    def __init__(
        self,
        built: Built,
        inputs: Inputs,
        parts: Sequence[Part],
        seed: int,
        metrics: Sequence[str],
        epochs: int | None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        training = built.recipe.training
        self._train = parts[0]
        if isinstance(built.recipe.model, Model):
            whiten(built.network, fed(built.network, parts[0]))
        train = copied(parts[0], training.augment, inputs.white, tick)
        if isinstance(built.recipe.model, Model) and not inputs.classes:
            standardise(built.network, train.labels)
        phases = phases_of(training, built.recipe.model)
        over = max((epochs or 0) - sum(phase.epochs for phase in phases), 0)
        self.built = built
        self.phases = (*phases[:-1], replace(phases[-1], epochs=phases[-1].epochs + over))
        self.layers = Layers(built.network)
        self.parts = (train, *parts[1:])
        """What is trained on and validated on in this phase."""
        self.trained = Trained(built, inputs, seed, metrics, len(train))
        self._whole = self.parts, self.trained
        self._halves = halves(built)
        self._head: tuple[tuple[Part, ...], Trained] | None = None
        self._tick = tick
        self._split = False
        self._number = 0
        self.steps = math.ceil(len(train) / training.batch_size)
        self.class_weight = class_weights(training.class_weight, train.labels, inputs.classes)

    @property
    def trainer(self) -> Any:
        """The model that is trained."""
        return self.trained.trainer

    @property
    def now(self) -> Built:
        """What is trained in this phase: the network, or its head."""
        return self.trained.built

    @property
    def network(self) -> Any:
        """The model whose weights this phase changes: the network, or its head."""
        return self._halves.head.network if self._split and self._halves is not None else self.built.network

    @property
    def state(self) -> Any:
        """The model whose variables say where training stands; with features and without them they are the same."""
        return self.network if self._split else self.trainer

    @property
    def images(self) -> Any:
        """What the features that are trained on were computed of; None where none are."""
        return None if self.trained is self._whole[1] else self._whole[0][0].images

    def scored(self) -> tuple[Built, Part]:
        """What is scored on the images that were trained on, and those images, never augmented."""
        if self._halves is not None and self._head is not None and self.trained is self._head[1]:
            if self._whole[0][0] is self._train:
                return self.now, self.parts[0]
            found = features_of(self._halves, self._train, self._tick)
            return (self.now, found) if found is not None else (self.built, self._train)
        return self.built, self._train

    @property
    def shape(self) -> str:
        """What trainings have in common that differ in knobs only; see `hpsearch.training.knobs`."""
        on_features = self._head is not None and self.trained is self._head[1]
        whole = self._whole[1]
        common = f"{shape_of(self.built.recipe, whole.inputs)} {len(self._whole[0][0])} {' '.join(whole.metrics)}"
        return f"{common} phase {self._number}{' on features' if on_features else ''}"

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
        phase, self._number = self.phases[number], number
        if len(self.phases) > 1:
            self.layers.learn(phase.tuning)
        self._split = self._halves is not None and phase.tuning is None
        self.parts, self.trained = (self._on_features() if self._split else None) or self._whole
        self.trained.compile(phase, self.steps * phase.epochs)

    def _on_features(self) -> tuple[tuple[Part, ...], Trained] | None:
        """The features of the parts, and the head that trains on them; None where they cannot be kept."""
        if self._head is None and self._halves is not None:
            found = [features_of(self._halves, part, self._tick) for part in self._whole[0]]
            parts = tuple(part for part in found if part is not None)
            if len(parts) == len(found):
                whole = self._whole[1]
                self._head = parts, Trained(self._halves.head, whole.inputs, whole.seed, whole.metrics)
        return self._head
