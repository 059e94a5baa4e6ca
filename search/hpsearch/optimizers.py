"""Optimizers, declared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hpsearch.biases import made_with_bias_rate
from hpsearch.declare import Declared, Flag, Maybe, Number, declared, option
from hpsearch.muon import muon_class

__all__ = ["SGD", "Adam", "AdamW", "Muon", "Optimizer", "RMSprop"]

_RATE = Number(above=0)
_DECAY = Maybe(Number(at_least=0))
_SHARE = Number(at_least=0, below=1)


class Optimizer(Declared):
    """What all optimizers have in common."""

    learning_rate: float

    def build(
        self,
        learning_rate: Any = None,
        clip_norm: float | None = None,
        bias_rate: float = 1.0,
        average: float | None = None,
    ) -> Any:
        """The Keras optimizer.

        Args:
            learning_rate: A Keras schedule that stands in for the number; None leaves the number.
            clip_norm: The largest norm of all gradients together; None does not clip.
            bias_rate: How many times the learning rate biases have.
            average: Decay of the running averages of all weights that it keeps; None keeps none.
        """
        rate = {} if learning_rate is None else {"learning_rate": learning_rate}
        averages = {} if average is None else {"use_ema": True, "ema_momentum": average}
        options = {**self._options(), **rate, **averages, "global_clipnorm": clip_norm}
        return made_with_bias_rate(self._class(), options, bias_rate)

    def _class(self) -> Any:
        """That of Keras."""
        from keras import optimizers

        return getattr(optimizers, type(self).__name__)

    def _options(self) -> dict[str, Any]:
        """What that is told, by the names it has for it."""
        return dict(vars(self))


@declared
class Adam(Optimizer):
    """Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Args:
        learning_rate: Step size.
        beta_1: Decay of the running mean of gradients.
        beta_2: Decay of the running mean of squared gradients.
        epsilon: What keeps the division finite.
        weight_decay: Share of each weight taken away per step, times the learning rate; with it, this is ``AdamW``.
            None is none.
    """

    learning_rate: float = option(_RATE, default=0.001)
    beta_1: float = option(_SHARE, default=0.9)
    beta_2: float = option(_SHARE, default=0.999)
    epsilon: float = option(_RATE, default=1e-7)
    weight_decay: float | None = option(_DECAY, default=None)

    def canonical(self) -> Any:
        """Without decay it is Adam, with decay AdamW, however it was written."""
        return _adam(self, self.weight_decay)


@declared
class AdamW(Optimizer):
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

    def canonical(self) -> Any:
        """Without decay it is Adam, with decay AdamW, however it was written."""
        return _adam(self, self.weight_decay)


def _adam(said: Adam | AdamW, decay: float | None) -> Adam | AdamW:
    options = {name: getattr(said, name) for name in ("learning_rate", "beta_1", "beta_2", "epsilon")}
    return AdamW(**options, weight_decay=decay) if decay else Adam(**options)


@declared
class SGD(Optimizer):
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


@declared
class RMSprop(Optimizer):
    """Tieleman and Hinton, "Lecture 6.5: RMSprop", Coursera 2012.

    Args:
        learning_rate: Step size.
        rho: Decay of the running mean of squared gradients.
        momentum: Share of the last step that is taken again.
        weight_decay: Share of each weight taken away per step, times the learning rate; None is none.
    """

    learning_rate: float = option(_RATE, default=0.001)
    rho: float = option(_SHARE, default=0.9)
    momentum: float = option(_SHARE, default=0.0)
    weight_decay: float | None = option(_DECAY, default=None)

    def canonical(self) -> RMSprop:
        return replace(self, weight_decay=self.weight_decay or None)


@declared
class Muon(Optimizer):
    """Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.

    Steps with momentum whose directions are made orthogonal, for kernels of hidden layers; that of a convolution
    (height, width, in, out) is taken as a matrix (height * width * in, out). Adam does the rest: the last kernel, which
    is the head's, biases, batch normalisation and depthwise kernels. Each step has the size that one of Adam has, as in
    Liu et al., "Muon is scalable for LLM training", 2025, so that both do with one learning rate.

    Args:
        learning_rate: Step size; in short trainings, a few times what suits Adam.
        momentum: Decay of the running sum of gradients.
        nesterov: Whether the last gradient is added to that sum once more.
        weight_decay: Share of each weight taken away per step, times the learning rate; None is none.
        adam_ratio: The learning rate of Adam, for the rest, is so many times ``learning_rate``.
    """

    learning_rate: float = option(_RATE, default=0.01)
    momentum: float = option(_SHARE, default=0.95)
    nesterov: bool = option(Flag(), default=True)
    weight_decay: float | None = option(_DECAY, default=None)
    adam_ratio: float = option(_RATE, default=1.0)

    def canonical(self) -> Muon:
        return replace(self, weight_decay=self.weight_decay or None)

    def _class(self) -> Any:
        return muon_class()

    def _options(self) -> dict[str, Any]:
        options = super()._options()
        ratio = options.pop("adam_ratio")
        return {**options, "adam_lr_ratio": ratio, "adam_weight_decay": self.weight_decay}
