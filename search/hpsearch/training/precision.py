"""The number of bits that a network calculates with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hpsearch.regime import Training

__all__ = ["calculating"]


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
