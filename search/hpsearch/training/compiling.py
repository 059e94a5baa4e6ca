"""The model that is trained: the network behind its augmentation, with loss, metrics, and the optimizer of a phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from hpsearch.metrics import extra
from hpsearch.phases import Phase, phases_of
from hpsearch.recipe import HyperModel
from hpsearch.regime import Training
from hpsearch.training.amounts import unit_of
from hpsearch.training.augmenting import augmented
from hpsearch.training.build import Built
from hpsearch.training.inputs import Inputs
from hpsearch.training.losses import AmountLoss, taught
from hpsearch.training.metrics import amount_metrics, class_metrics
from hpsearch.training.mirrored import learning_one_way
from hpsearch.training.rates import rate_of
from hpsearch.training.twins import twin_of
from hpsearch.training.unallocated import unallocated, without_a_trace

__all__ = ["Trained", "compiled", "optimizer_of"]


class Trained:
    """A network and the model that trains it; each phase compiles them anew.

    Args:
        built: The network and its recipe.
        inputs: What the network was built for.
        seed: Where augmentation starts.
        metrics: What is measured besides loss and accuracy, or the metrics of amounts.
        images: How many an epoch has.
    """

    def __init__(self, built: Built, inputs: Inputs, seed: int, metrics: Sequence[str] = (), images: int = 1) -> None:
        self.built = built
        self.inputs = inputs
        self.seed = seed
        self.metrics = extra(tuple(metrics))
        self._images = images
        self._compiled: tuple[Phase, int | None] | None = None
        training = built.recipe.training
        learning = learning_one_way(built.network) if built.mirrored else built.network
        changed = augmented(learning, training.augment, inputs, seed, images)
        self.trainer = taught(changed, training.label_smoothing)
        """The same layers as the network has, behind the augmentation."""

    def compile(self, phase: Phase, steps: int | None = None) -> None:
        """Make ready for a phase: a fresh optimizer, and the metrics at nothing.

        Args:
            phase: The phase.
            steps: How many steps it has; None where that is not known, so that its learning rate stays.
        """
        built, network, trainer = self.built, self.built.network, self.trainer
        self._compiled = None
        if isinstance(built.recipe.model, HyperModel) and network.compiled:
            if trainer is not network:
                measured = ["accuracy"] if self.inputs.classes else []
                trainer.compile(optimizer=network.optimizer, loss=network.loss, metrics=[*measured, *self._extra()])
            return
        for model in {id(each): each for each in (trainer, built.answering)}.values():
            model.compile(
                optimizer=optimizer_of(built.recipe.training, phase, steps),
                loss=self._loss(),
                metrics=self._metrics(),
                auto_scale_loss=False,  # optimizer_of did, whatever policy the wrapping model has
            )
        self._compiled = phase, steps

    def twin(self) -> Any:
        """A model like the one that is trained, compiled for the same phase, that shares nothing with it.

        Returns:
            It, whose weights have no values; None where code of the user's own has a part in the network, or compiled
            it.
        """
        if self._compiled is None:
            return None
        with without_a_trace():
            with unallocated():
                network = twin_of(self.built.network)
                if network is None:
                    return None
                built = replace(self.built, network=network)
                made = Trained(built, self.inputs, self.seed, self.metrics, self._images)
            made.compile(*self._compiled)  # an optimizer counts its steps from the moment that it is made
        return made.trainer

    def _loss(self) -> Any:
        network, classes = self.built.network, self.inputs.classes
        if not classes:
            kind = self.built.recipe.training.loss or "mean_squared_error"
            return AmountLoss(kind, *unit_of(network))
        if network.output_shape[-1] == 1:
            return keras.losses.BinaryCrossentropy()
        return keras.losses.CategoricalCrossentropy() if self._one_hot else keras.losses.SparseCategoricalCrossentropy()

    def _metrics(self) -> list[Any]:
        network, metrics = self.built.network, keras.metrics
        if not self.inputs.classes:
            return amount_metrics(*unit_of(network))
        if network.output_shape[-1] == 1:
            return [metrics.BinaryAccuracy(name="accuracy"), *self._extra()]
        kind = metrics.CategoricalAccuracy if self._one_hot else metrics.SparseCategoricalAccuracy
        return [kind(name="accuracy"), *self._extra()]

    def _extra(self) -> list[Any]:
        return class_metrics(self.metrics, self.inputs.classes)

    @property
    def _one_hot(self) -> bool:
        model = self.built.recipe.model
        return isinstance(model, HyperModel) and model.labels == "one_hot"


def compiled(built: Built, inputs: Inputs, seed: int, metrics: Sequence[str] = ()) -> Any:
    """The model to train in the first phase, or to score: the network behind its augmentation, compiled.

    Args:
        built: The network and its recipe; it is compiled too.
        inputs: What the network was built for.
        seed: Where augmentation starts.
        metrics: What is measured besides loss and accuracy.
    """
    made = Trained(built, inputs, seed, metrics)
    made.compile(phases_of(built.recipe.training, built.recipe.model)[0])
    return made.trainer


def optimizer_of(training: Training, phase: Phase, steps: int | None = None) -> Any:
    """The Keras optimizer of a phase.

    Args:
        training: How the network is trained.
        phase: The phase.
        steps: How many steps it has, or None.
    """
    rate = rate_of(training.schedule, phase.optimizer.learning_rate, steps)
    optimizer = phase.optimizer.build(rate, training.clip_norm, training.bias_rate, training.average)
    # With 16 bits of that kind, small gradients would vanish.
    return keras.optimizers.LossScaleOptimizer(optimizer) if training.precision == "mixed_float16" else optimizer
