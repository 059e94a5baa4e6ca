"""Resizing images inside the network, so that an exported model takes them as they come."""

from __future__ import annotations

from typing import Any

from hpsearch.declare import Maybe, Whole

__all__ = ["INPUT_SIZE", "resized"]

INPUT_SIZE = Maybe(Whole(1))


def resized(x: Any, size: int | None, prefix: str = "") -> Any:
    """Images of ``size`` by ``size`` pixels (bilinear); untouched when they are that large already.

    Args:
        x: A symbolic tensor of shape (batch, height, width, channels), float.
        size: The side wanted, in pixels; None keeps what is there.
        prefix: What the name of the layer begins with.
    """
    from keras import layers

    if size is None or tuple(x.shape[1:3]) == (size, size):
        return x
    return layers.Resizing(size, size, name=f"{prefix}resize")(x)
