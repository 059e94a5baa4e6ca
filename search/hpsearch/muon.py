"""Muon as a Keras optimizer: Keras's own, and for kernels of convolutions, too."""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["muon_class"]


@cache
def muon_class() -> Any:
    """The class; Keras is imported when it is first asked for."""
    from keras import ops, optimizers

    class Muon(optimizers.Muon):  # type: ignore[misc]  # keras has no types
        """Keras's Muon; kernels of convolutions (height, width, in, out) are matrices (height * width * in, out) to it.

        The last kernel it is built with, which is that of the layer that answers, is left to Adam; so are biases,
        scales, embeddings, kernels of depthwise convolutions, each of whose filters stands for itself, and whatever has
        but one column.
        """

        def build(self, variables: Any) -> None:
            kernels = [variable for variable in variables if len(variable.shape) in (2, 4)]
            self._answers = id(kernels[-1]) if kernels else 0
            super().build(variables)

        def _should_use_adamw(self, variable: Any) -> bool:
            path = variable.path
            return bool(
                len(variable.shape) not in (2, 4)
                or variable.shape[-1] == 1
                or id(variable) == self._answers
                or "embedding" in path
                or "depthwise" in path
            )

        def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
            found = super().zeropower_via_newtonschulz5(ops.reshape(x, (-1, x.shape[-1])), steps)
            return ops.reshape(found, x.shape)

        def lr_adjust(self, x: Any) -> Any:
            return ops.reshape(super().lr_adjust(ops.reshape(x, (-1, x.shape[-1]))), x.shape)

    return Muon
