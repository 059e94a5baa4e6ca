"""The stem of a convolutional network: one wide convolution that makes large images small."""

from __future__ import annotations

from hpsearch.blocks.stage import PLAIN, POOL, Stage
from hpsearch.declare import Declared, Maybe, Whole, declared, option

__all__ = ["Stem"]


@declared
class Stem(Declared):
    """One convolution and a pool before the stages, as in He et al., "Deep residual learning", CVPR 2016.

    What it does not say (activation, batch normalisation, initializer, bias, constraint, penalty) is as in the rest of
    the network; its padding is ``"same"``.

    Args:
        filters: Output channels.
        kernel_size: Side of the window.
        strides: Stride of the convolution.
        pool: ``"max"``, ``"average"`` or None.
        pool_size: Side of the pooling window.
        pool_stride: Stride of the pool; None is the size of its window.
    """

    filters: int = option(Whole(1))
    kernel_size: int = option(Whole(1), default=7)
    strides: int = option(Whole(1), default=2)
    pool: str | None = option(POOL, default="max")
    pool_size: int = option(Whole(1), default=3)
    pool_stride: int | None = option(Maybe(Whole(1)), default=2)

    @property
    def stage(self) -> Stage:
        """The stage that does the same."""
        return Stage(
            filters=self.filters,
            kernel_size=self.kernel_size,
            strides=self.strides,
            pool=self.pool,
            pool_size=self.pool_size,
            pool_stride=self.pool_stride,
            **PLAIN,
        )
