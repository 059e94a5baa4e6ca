"""A learning rate of their own for biases, with any Keras optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

__all__ = ["BIASES", "made_with_bias_rate"]

BIASES = ("bias", "beta")
"""What Keras calls the variables: of layers with a kernel, and of normalisation."""


def made_with_bias_rate(cls: Any, options: Mapping[str, Any], rate: float) -> Any:
    """A Keras optimizer whose learning rate for biases is so many times that for all else.

    Args:
        cls: Its class.
        options: What it is made with.
        rate: How many times; 1 makes one of the class itself.
    """
    return cls(**options) if rate == 1 else _with_bias_rate(cls)(rate, **options)


@cache
def _with_bias_rate(cls: Any) -> Any:
    from keras import ops

    class BiasRate(cls):  # type: ignore[misc]  # keras has no types
        """The optimizer below it; what changes is the learning rate that it is told for a bias.

        To multiply gradients would do nothing with Adam, which divides by their size.
        """

        def __init__(self, bias_rate: float, **options: Any) -> None:
            super().__init__(**options)
            self.bias_rate = bias_rate

        def build(self, variables: Any) -> None:
            super().build(variables)
            self._biases = frozenset(place for place, each in enumerate(variables) if each.name in BIASES)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            if self._get_variable_index(variable) in self._biases:
                learning_rate = ops.multiply(learning_rate, self.bias_rate)
            super().update_step(gradient, variable, learning_rate)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "bias_rate": self.bias_rate}

    return BiasRate
