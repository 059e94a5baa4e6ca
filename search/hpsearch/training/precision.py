"""The number of bits that a network calculates with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hpsearch.regime import Training

__all__ = ["all_layers", "calculating", "sixteen_bits", "tolerance_of"]

TOLERANCE = 1e-3
"""Probabilities may differ by this much from what the Keras model gave, and amounts by this share of them."""
MIXED_TOLERANCE = 3e-2
"""The same, of a network that was trained with 16 bits: another backend rounds them in another way, and the formats of
other runtimes hold 32."""


def tolerance_of(network: Any) -> float:
    """By how much the answers of a network may differ from one runtime to another.

    Args:
        network: A Keras model.
    """
    return MIXED_TOLERANCE if sixteen_bits(network) else TOLERANCE


def sixteen_bits(network: Any) -> bool:
    """Whether a network calculates with 16 bits.

    Args:
        network: A Keras model.
    """
    import keras

    types = [each.compute_dtype for each in all_layers(network)]
    return any(keras.backend.is_float_dtype(each) and "16" in each for each in types)


def all_layers(network: Any) -> list[Any]:
    """The layers of a network and those within them.

    Args:
        network: A Keras model.
    """
    return list(network._flatten_layers())  # noqa: SLF001  # layers within layers are shown in no public way


@contextmanager
def calculating(training: Training) -> Iterator[None]:
    """What is built within calculates with the bits that a training says.

    Args:
        training: A training without domains.
    """
    if training.precision == "float32":
        yield
        return
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(training.precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
