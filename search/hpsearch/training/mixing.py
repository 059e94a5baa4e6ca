"""Each image of a batch mixed with its neighbour, while a network is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

__all__ = ["Mixing"]

_DRAWS = 4096
"""Shares are drawn from a list of so many, which lies ready: the beta distribution in Keras is not for XLA."""


class Mixing(keras.layers.Layer):  # type: ignore[misc]  # keras has no types
    """Mixes each image with the one before it in the batch, all of a batch in the same way.

    Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018, adds the two up; Yun et al., "CutMix", ICCV
    2019, puts a box of one into the other. The shares are those of the papers, from a beta distribution. Of two images
    the one with the larger share gives the answer by which accuracy is measured in training; as the other case only
    names the two the other way round, nothing is lost by that. Batches are shuffled, so that the image before is any.

    Args:
        mixup: Both parameters of the beta distribution; 0 never adds up.
        cutmix: The same for boxes; where both are said, a batch gets one of the two, by a coin.
        seed: Where random numbers start.
    """

    def __init__(self, mixup: float, cutmix: float, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self.shares = [_shares(parameter) if parameter else None for parameter in (mixup, cutmix)]
        self.seeds = keras.random.SeedGenerator(seed)
        self.share = self.add_weight(shape=(), dtype="float32", initializer="ones", trainable=False, name="share")
        """Of the image itself in what became of it, in this batch; from a half to 1."""

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training:
            return x
        coin, drawn, *middle = ops.unstack(keras.random.uniform((4,), seed=self.seeds), 4)
        sizes, (added, boxed) = x.shape[1:3], self.shares
        masks = [ops.ones(sizes) * _taken(added, drawn)] if added is not None else []
        masks += [_box(sizes, _taken(boxed, drawn), middle)] if boxed is not None else []
        mask = ops.where(coin < 0.5, masks[0], masks[-1])
        share = ops.mean(mask)
        mask = ops.where(share < 0.5, 1 - mask, mask)
        self.share.assign(ops.maximum(share, 1 - share))
        mask = ops.cast(ops.reshape(mask, (1, *mask.shape, 1)), x.dtype)
        return mask * x + (1 - mask) * ops.roll(x, 1, axis=0)


def _shares(parameter: float) -> Any:
    """Shares of the image itself (n,), as they are drawn."""
    drawn = np.random.default_rng(0).beta(parameter, parameter, 64 * _DRAWS)
    return np.sort(drawn)[32::64].astype("float32")


def _taken(shares: Any, drawn: Any) -> Any:
    return ops.take(ops.convert_to_tensor(shares), ops.cast(drawn * _DRAWS, "int32"), axis=0)


def _box(sizes: Sequence[int], share: Any, middle: Sequence[Any]) -> Any:
    """1 outside of a box (height, width) and 0 in it; what stands out over the edge is cut off.

    Args:
        sizes: Height and width of the image.
        share: Of the image that lies outside of the whole box.
        middle: Of the box, from 0 to 1, in both directions.
    """
    within = []
    for size, centre in zip(sizes, middle, strict=True):
        pixels = ops.arange(size, dtype="float32") + 0.5
        within.append(ops.cast(ops.abs(pixels - centre * size) < ops.sqrt(1 - share) * size / 2, "float32"))
    return 1 - ops.reshape(within[0], (-1, 1)) * ops.reshape(within[1], (1, -1))
