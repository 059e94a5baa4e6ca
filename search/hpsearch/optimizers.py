"""Optimizers and learning-rate schedules, declared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hpsearch.declare import Declared, Flag, Maybe, Number, Whole, declared, option

__all__ = ["SGD", "Adam", "AdamW", "Plateau", "RMSprop"]

_RATE = Number(above=0)
_DECAY = Maybe(Number(at_least=0))
_SHARE = Number(at_least=0, below=1)


@declared
class Adam(Declared):
    """Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Args:
        learning_rate: Step size.
        beta_1: Decay of the running mean of gradients.
        beta_2: Decay of the running mean of squared gradients.
        epsilon: What keeps the division finite.
    """

    learning_rate: float = option(_RATE, default=0.001)
    beta_1: float = option(_SHARE, default=0.9)
    beta_2: float = option(_SHARE, default=0.999)
    epsilon: float = option(_RATE, default=1e-7)

    def build(self) -> Any:
        """The Keras optimizer."""
        from keras import optimizers

        return optimizers.Adam(
            learning_rate=self.learning_rate, beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon
        )


@declared
class AdamW(Declared):
    """Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Args:
        learning_rate: Step size.
        weight_decay: Share of each weight taken away per step, times the learning rate.
        beta_1: Decay of the running mean of gradients.
        beta_2: Decay of the running mean of squared gradients.
        epsilon: What keeps the division finite.
    """

    learning_rate: float = option(_RATE, default=0.001)
    weight_decay: float = option(Number(at_least=0), default=0.004)
    beta_1: float = option(_SHARE, default=0.9)
    beta_2: float = option(_SHARE, default=0.999)
    epsilon: float = option(_RATE, default=1e-7)

    def build(self) -> Any:
        """The Keras optimizer."""
        from keras import optimizers

        return optimizers.AdamW(
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )


@declared
class SGD(Declared):
    """Stochastic gradient descent, with momentum if wanted.

    Args:
        learning_rate: Step size.
        momentum: Share of the last step that is taken again.
        nesterov: Whether the gradient is looked up after that share.
        weight_decay: Share of each weight taken away per step, times the learning rate; None is none.
    """

    learning_rate: float = option(_RATE, default=0.01)
    momentum: float = option(_SHARE, default=0.0)
    nesterov: bool = option(Flag(), default=False)
    weight_decay: float | None = option(_DECAY, default=None)

    def conflict(self) -> tuple[str, str] | None:
        if self.nesterov and not self.momentum:
            return "nesterov", "got True without momentum; set momentum=0.9 or drop nesterov."
        return None

    def canonical(self) -> SGD:
        return replace(self, weight_decay=self.weight_decay or None)

    def build(self) -> Any:
        """The Keras optimizer."""
        from keras import optimizers

        return optimizers.SGD(
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
        )


@declared
class RMSprop(Declared):
    """Tieleman and Hinton, "Lecture 6.5: RMSprop", Coursera 2012.

    Args:
        learning_rate: Step size.
        rho: Decay of the running mean of squared gradients.
        momentum: Share of the last step that is taken again.
    """

    learning_rate: float = option(_RATE, default=0.001)
    rho: float = option(_SHARE, default=0.9)
    momentum: float = option(_SHARE, default=0.0)

    def build(self) -> Any:
        """The Keras optimizer."""
        from keras import optimizers

        return optimizers.RMSprop(learning_rate=self.learning_rate, rho=self.rho, momentum=self.momentum)


@declared
class Plateau(Declared):
    """Cuts the learning rate whenever the validation loss has not improved for a while.

    Args:
        factor: What the learning rate is multiplied with.
        patience: Epochs without improvement before it is cut.
        min_learning_rate: It is never cut below this.
    """

    factor: float = option(Number(above=0, below=1), default=0.5)
    patience: int = option(Whole(1), default=3)
    min_learning_rate: float = option(Number(at_least=0), default=0.0)

    def build(self) -> Any:
        """The Keras callback."""
        from keras import callbacks

        return callbacks.ReduceLROnPlateau(
            monitor="val_loss", factor=self.factor, patience=self.patience, min_lr=self.min_learning_rate
        )
