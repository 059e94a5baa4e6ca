"""Convolutions that begin by handing on what they see.

The first filters, one for each channel of input as far as there are filters, have 1 in the middle of the window on
their channel and 0 elsewhere; the others begin as Keras has it. Zagoruyko and Komodakis, "DiracNets: training very deep
neural networks without skip-connections", 2017.
"""

from __future__ import annotations

from typing import Any

__all__ = ["DIRAC", "begins_with_identity", "initializer_of", "settle"]

DIRAC = "dirac"
"""What such a start is called in a space file."""

_MARK = "begins_with_identity"


def initializer_of(name: str) -> Any:
    """What a Keras layer is given to start its kernel.

    Args:
        name: A Keras initializer by name, or `DIRAC`.
    """
    return _Dirac() if name == DIRAC else name


def settle(layer: Any) -> None:
    """Have a layer that was built say an initializer of Keras's own, so that a model with it can be loaded anywhere.

    Args:
        layer: A layer that was given what `initializer_of` gives; any other is left alone.
    """
    if isinstance(given := getattr(layer, "kernel_initializer", None), _Dirac):
        layer.kernel_initializer = given.rest
        setattr(layer, _MARK, True)


def begins_with_identity(layer: Any) -> bool:
    """Whether a layer, as it was built here, began by handing on what it sees.

    Args:
        layer: A Keras layer; one that was loaded from a file does not say.
    """
    return getattr(layer, _MARK, False)


class _Dirac:
    """The values of a kernel (height, width, channels of input, filters)."""

    def __init__(self) -> None:
        from keras import initializers

        self.rest = initializers.GlorotUniform()  # made where Keras would make it: seeds are drawn one after the other

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        from keras import ops

        height, width, channels, filters = shape
        count = min(channels, filters)
        around = [[(side - 1) // 2, side // 2] for side in (height, width)]
        identity = ops.pad(ops.eye(channels, count, dtype=dtype)[None, None], [*around, [0, 0], [0, 0]])
        return ops.concatenate([identity, self.rest(shape, dtype=dtype)[..., count:]], axis=-1)
