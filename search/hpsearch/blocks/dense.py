"""The dense layers between the pooled features and the head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hpsearch.blocks.batchnorm import MOMENTUM, batchnorm
from hpsearch.blocks.weights import (
    ACTIVATION,
    CONSTRAINT,
    INITIALIZER,
    L1,
    L1L2,
    L2,
    PENALTY,
    MaxNorm,
    built,
)
from hpsearch.declare import Choice, Declared, Flag, Number, Whole, declared, option

__all__ = ["Dense"]


@declared
class Dense(Declared):
    """A fully connected layer, with batch normalisation and dropout if wanted.

    Args:
        units: How many outputs.
        activation: A Keras activation by name.
        dropout: Share of its outputs set to zero while training.
        batchnorm: Where batch normalisation stands: None, ``"before_activation"`` or ``"after_activation"``.
        batchnorm_momentum: How slowly the moving statistics follow. None replaces them after every epoch by those of
            some training rows as the network sees them then: moving ones lag behind, and Keras's 0.99 needs hundreds
            of steps to forget what they began with.
        batchnorm_scale: Whether batch normalisation learns a factor for each output, besides an offset.
        initializer: A Keras initializer by name, for the kernel.
        use_bias: Whether there is a bias.
        kernel_constraint: ``MaxNorm(3)`` or None.
        kernel_regularizer: ``L1``, ``L2``, ``L1L2`` or None.
    """

    units: int = option(Whole(1))
    activation: str = option(ACTIVATION, default="relu")
    dropout: float = option(Number(at_least=0, below=1), default=0.0)
    batchnorm: str | None = option(Choice(None, "before_activation", "after_activation"), default=None)
    batchnorm_momentum: float | None = option(MOMENTUM, default=None)
    batchnorm_scale: bool = option(Flag(), default=True)
    initializer: str = option(INITIALIZER, default="glorot_uniform")
    use_bias: bool = option(Flag(), default=True)
    kernel_constraint: MaxNorm | None = option(CONSTRAINT, default=None)
    kernel_regularizer: L1 | L2 | L1L2 | None = option(PENALTY, default=None)

    def canonical(self) -> Dense:
        placement = self.batchnorm
        if placement == "after_activation" and self.activation == "linear":
            placement = "before_activation"
        momentum = self.batchnorm_momentum if placement else None
        scale = self.batchnorm_scale or not placement
        return replace(self, batchnorm=placement, batchnorm_momentum=momentum, batchnorm_scale=scale)

    def __call__(self, x: Any, name: str = "dense") -> Any:
        """Apply the layer.

        Args:
            x: A symbolic tensor of shape (batch, features), float.
            name: The name of the layer; those around it begin with it.

        Returns:
            A symbolic tensor of shape (batch, units), float.
        """
        from keras import layers

        early = self.batchnorm == "before_activation"
        x = layers.Dense(
            self.units,
            activation="linear" if early else self.activation,
            kernel_initializer=self.initializer,
            use_bias=self.use_bias,
            kernel_constraint=built(self.kernel_constraint),
            kernel_regularizer=built(self.kernel_regularizer),
            name=name,
        )(x)
        if self.batchnorm:
            x = batchnorm(x, self.batchnorm_momentum, f"{name}_batchnorm", scale=self.batchnorm_scale)
        if early and self.activation != "linear":
            x = layers.Activation(self.activation, name=f"{name}_{self.activation}")(x)
        if self.dropout:
            x = layers.Dropout(self.dropout, name=f"{name}_dropout")(x)
        return x
