"""What holds the weights of a layer in bounds: constraints and penalties."""

from __future__ import annotations

from typing import Any

from hpsearch.blocks.dirac import DIRAC
from hpsearch.declare import Choice, Declared, Instance, Maybe, Number, declared, option

__all__ = [
    "ACTIVATION",
    "CONSTRAINT",
    "INITIALIZER",
    "KERNEL_INITIALIZER",
    "L1",
    "L1L2",
    "L2",
    "PENALTY",
    "MaxNorm",
    "built",
]


@declared
class MaxNorm(Declared):
    """Kernels whose norm over the inputs of a unit never exceeds a bound.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.

    Args:
        max_value: The largest norm.
    """

    max_value: float = option(Number(above=0), kw_only=False)

    def build(self) -> Any:
        """The Keras constraint."""
        from keras import constraints

        return constraints.MaxNorm(self.max_value)


@declared
class L1(Declared):
    """A penalty on the sum of absolute weights.

    Args:
        factor: Its weight in the loss.
    """

    factor: float = option(Number(above=0), kw_only=False)

    def build(self) -> Any:
        """The Keras regularizer."""
        from keras import regularizers

        return regularizers.L1(self.factor)


@declared
class L2(Declared):
    """A penalty on the sum of squared weights.

    Args:
        factor: Its weight in the loss.
    """

    factor: float = option(Number(above=0), kw_only=False)

    def build(self) -> Any:
        """The Keras regularizer."""
        from keras import regularizers

        return regularizers.L2(self.factor)


@declared
class L1L2(Declared):
    """Both penalties together.

    Args:
        l1: Weight of the sum of absolute weights.
        l2: Weight of the sum of squared weights.
    """

    l1: float = option(Number(above=0))
    l2: float = option(Number(above=0))

    def build(self) -> Any:
        """The Keras regularizer."""
        from keras import regularizers

        return regularizers.L1L2(l1=self.l1, l2=self.l2)


CONSTRAINT = Maybe(Instance((MaxNorm,), "MaxNorm(3)"))
PENALTY = Maybe(Instance((L1, L2, L1L2), "L1(1e-4), L2(1e-4), L1L2(l1=1e-5, l2=1e-4)"))
ACTIVATION = Choice(
    "relu", "elu", "gelu", "leaky_relu", "linear", "mish", "relu6", "selu", "sigmoid", "silu", "softplus", "tanh"
)
INITIALIZER = Choice(
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
)
KERNEL_INITIALIZER = Choice(*INITIALIZER.values, DIRAC)
"""Of convolutions."""


def built(part: Any) -> Any:
    """The Keras object of a constraint or penalty; None stays None."""
    return None if part is None else part.build()
