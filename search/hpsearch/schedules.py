"""Schedules: how the learning rate changes while a network is trained."""

from __future__ import annotations

from hpsearch.declare import Declared, Number, Whole, declared, option

__all__ = ["Cosine", "OneCycle", "Plateau", "Schedule", "Triangular"]

_SHARE = Number(at_least=0, below=1)


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


@declared
class Cosine(Declared):
    """Lets the learning rate fall along half a cosine, step by step, over all epochs; it may rise in a line first.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, without the restarts; the
    warm-up is that of Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017.

    Args:
        warmup: Share of the steps in which the learning rate rises from 0 to the one of the optimizer.
        final: Share of the learning rate of the optimizer that is left at the end.
    """

    warmup: float = option(_SHARE, default=0.0)
    final: float = option(_SHARE, default=0.0)


@declared
class OneCycle(Declared):
    """Lets the learning rate rise to that of the optimizer and fall again, along cosines, step by step, once.

    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2018; the
    momentum is left as it is.

    Args:
        warmup: Share of the steps in which the learning rate rises.
        start: Share of the learning rate of the optimizer that the first step has.
        final: Share of it that is left at the end.
    """

    warmup: float = option(Number(above=0, below=1), default=0.3)
    start: float = option(Number(above=0, below=1), default=0.04)
    final: float = option(_SHARE, default=0.0)


@declared
class Triangular(Declared):
    """Lets the learning rate rise in a line to that of the optimizer and fall in a line, step by step, once.

    Smith, "Cyclical learning rates for training neural networks", WACV 2017, with a single cycle; with these defaults,
    about that of Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024.

    Args:
        warmup: Share of the steps in which the learning rate rises.
        start: Share of the learning rate of the optimizer that the first step has.
        final: Share of it that is left at the end.
    """

    warmup: float = option(Number(above=0, below=1), default=0.2)
    start: float = option(_SHARE, default=0.2)
    final: float = option(_SHARE, default=0.07)


Schedule = Plateau | Cosine | OneCycle | Triangular
