"""A stage of a convolutional network: convolutions at one resolution, closed by a pool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from enum import Enum
from typing import Any

from hpsearch.blocks.batchnorm import MOMENTUM, batchnorm
from hpsearch.blocks.dirac import DIRAC, initializer_of, settle
from hpsearch.blocks.weights import (
    ACTIVATION,
    CONSTRAINT,
    KERNEL_INITIALIZER,
    L1,
    L1L2,
    L2,
    PENALTY,
    MaxNorm,
    built,
)
from hpsearch.declare import (
    Choice,
    Declared,
    Either,
    Flag,
    Instance,
    Many,
    Maybe,
    Number,
    Rule,
    Whole,
    declared,
    option,
)
from hpsearch.domains import Repeat
from hpsearch.errors import ModelError

__all__ = [
    "INHERIT",
    "PAD",
    "PLACEMENT",
    "PLAIN",
    "POOL",
    "RATE",
    "SETTINGS",
    "Stage",
    "one_stage",
    "singles",
]


class _Inherit(Enum):
    """The default of a stage's settings: what the network says."""

    INHERIT = "inherit"


INHERIT: Any = _Inherit.INHERIT

PLACEMENT = Choice(None, "before_activation", "after_activation", "once_per_stage")
PAD = Choice("same", "valid")
RATE = Number(at_least=0, below=1)
POOL = Choice(None, "max", "average")


def _setting(rule: Rule) -> Any:
    """An option of a stage that the network answers when the stage does not."""
    return option(Either(rule, Instance((_Inherit,), "left out, to do as the ConvNet does")), default=INHERIT)


@declared
class Stage(Declared):
    """Convolutions at one resolution, then a pool, then dropout.

    The length of ``filters`` is the number of convolutions: ``filters=(32, 64)`` are two, ``filters=32`` is one, and
    ``filters=32, convs=3`` are three of one width. Every other option is the network's unless it is said here; see
    ``ConvNet`` for what each means.

    Args:
        filters: Output channels of each convolution.
        convs: How many convolutions of that one width; only beside a plain number of filters.
        kernel_size, strides, padding, activation, initializer, use_bias: Of the convolutions of this stage.
        batchnorm, batchnorm_momentum, batchnorm_scale: Where batch normalisation stands in it, how slowly it follows,
            and whether it learns factors.
        separable, residual: What kind of stage it is.
        pool, pool_size, pool_stride, pool_padding: How it is closed.
        dropout: Share of the values set to zero after its pool while training.
        kernel_constraint, kernel_regularizer: Bounds on its weights.
    """

    filters: int | Sequence[int] = option(Either(Whole(1), Many(Whole(1), at_least=1)))
    convs: int | None = option(Maybe(Whole(1)), default=None)
    kernel_size: int = _setting(Whole(1))
    strides: int = _setting(Whole(1))
    padding: str = _setting(PAD)
    activation: str = _setting(ACTIVATION)
    initializer: str = _setting(KERNEL_INITIALIZER)
    use_bias: bool = _setting(Flag())
    batchnorm: str | None = _setting(PLACEMENT)
    batchnorm_momentum: float | None = _setting(MOMENTUM)
    batchnorm_scale: bool = _setting(Flag())
    separable: bool = _setting(Flag())
    residual: bool = _setting(Flag())
    pool: str | None = _setting(POOL)
    pool_size: int = _setting(Whole(1))
    pool_stride: int | None = _setting(Maybe(Whole(1)))
    pool_padding: str = _setting(PAD)
    dropout: float = _setting(RATE)
    kernel_constraint: MaxNorm | None = _setting(CONSTRAINT)
    kernel_regularizer: L1 | L2 | L1L2 | None = _setting(PENALTY)

    @property
    def widths(self) -> tuple[int, ...]:
        """Output channels, convolution by convolution."""
        if isinstance(self.filters, int):
            return (self.filters,) * (self.convs or 1)
        return tuple(self.filters)

    def conflict(self) -> tuple[str, str] | None:
        if self.convs is not None and not isinstance(self.filters, int):
            problem = "got a number of convolutions beside a list of filters, whose length says it already"
            return "convs", f"{problem}; drop one of the two."
        return None

    def canonical(self) -> Stage:
        return replace(self, filters=self.widths, convs=None)

    def respelled(self, like: Any) -> Iterable[tuple[Any, Any]]:
        widths = self.widths
        spellings = [replace(self, filters=widths, convs=None)]
        if len(widths) == 1:
            spellings.append(replace(self, filters=widths[0], convs=None))
        if len(set(widths)) == 1:
            spellings.append(replace(self, filters=widths[0], convs=len(widths)))
        # What goes wrong is said of the spelling that looks most like the other.
        listed = isinstance(like.filters, tuple | list | Repeat)
        spellings.sort(
            key=lambda s: ((s.convs is None) != (like.convs is None), isinstance(s.filters, tuple) != listed)
        )
        for stage in spellings:
            yield like, stage
            if stage.pool_stride is None and isinstance(stage.pool_size, int):
                yield like, replace(stage, pool_stride=stage.pool_size)
            elif stage.pool_stride is not INHERIT and stage.pool_stride == stage.pool_size:
                yield like, replace(stage, pool_stride=None)

    def output_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Height, width and channels after this stage, whose settings are all said.

        Args:
            shape: Height, width and channels before it.

        Raises:
            ModelError: A kernel or pool is larger than what is left of the image.
        """
        height, width, _ = shape
        if self.residual and self.padding == "valid" and self.kernel_size > 1:
            problem = "got True with padding 'valid', which makes the sum of two sizes"
            raise ModelError(f"{problem}; write padding='same' or residual=False.", "residual")
        if self.separable and self.initializer == DIRAC:
            problem = "got 'dirac' for separable convolutions, none of whose kernels sees one channel and makes another"
            raise ModelError(f"{problem}; write another initializer or separable=False.", "initializer")
        for number in range(len(self.widths)):
            stride = self.strides if number == 0 else 1
            height, width = self._window("kernel_size", height, width, self.kernel_size, stride, self.padding)
        if self.pool:
            stride = self.pool_stride or self.pool_size
            height, width = self._window("pool_size", height, width, self.pool_size, stride, self.pool_padding)
        return height, width, self.widths[-1]

    def _window(self, what: str, height: int, width: int, size: int, stride: int, padding: str) -> tuple[int, int]:
        if padding == "same":
            return -(-height // stride), -(-width // stride)
        if min(height, width) < size:
            raise ModelError(
                f"a window of {size}x{size} does not fit into the {height}x{width} pixels that are left here; "
                "use fewer stages, pool=None, a smaller window, or padding 'same'.",
                what,
            )
        return (height - size) // stride + 1, (width - size) // stride + 1

    def __call__(self, x: Any, name: str = "stage") -> Any:
        """Apply the stage, whose settings are all said.

        Args:
            x: A symbolic tensor of shape (batch, height, width, channels), float.
            name: What the names of its layers begin with.

        Returns:
            A symbolic tensor of the same rank, float.
        """
        from keras import layers

        shortcut = self._shortcut(x, name) if self.residual else None
        for number in range(1, len(self.widths) + 1):
            x = self._convolved(x, number, name, shortcut if number == len(self.widths) else None)
        if self.pool:
            pool = layers.MaxPooling2D if self.pool == "max" else layers.AveragePooling2D
            x = pool(self.pool_size, strides=self.pool_stride, padding=self.pool_padding, name=f"{name}_pool")(x)
        if self.dropout:
            x = layers.Dropout(self.dropout, name=f"{name}_dropout")(x)
        return x

    def _convolved(self, x: Any, number: int, name: str, shortcut: Any) -> Any:
        """One convolution with its activation and batch normalisation; what is added is added before the activation."""
        from keras import layers

        conv = f"{name}_conv{number}"
        normalised = bool(self.batchnorm) and (self.batchnorm != "once_per_stage" or number == len(self.widths))
        early = self.batchnorm == "before_activation"
        apart = early or shortcut is not None
        layer = self._convolution(self.widths[number - 1], self.strides if number == 1 else 1, not apart, conv)
        x = layer(x)
        settle(layer)
        if early:
            x = self._normalised(x, f"{conv}_batchnorm")
        if shortcut is not None:
            x = layers.Add(name=f"{name}_add")([x, shortcut])
        if apart and self.activation != "linear":
            x = layers.Activation(self.activation, name=f"{conv}_{self.activation}")(x)
        if normalised and not early:
            x = self._normalised(x, f"{conv}_batchnorm")
        return x

    def _normalised(self, x: Any, name: str) -> Any:
        return batchnorm(x, self.batchnorm_momentum, name, scale=self.batchnorm_scale)

    def _convolution(self, width: int, stride: int, activated: bool, name: str) -> Any:
        """The Keras layer of a convolution."""
        from keras import layers

        options = {
            "strides": stride,
            "padding": self.padding,
            "activation": self.activation if activated else "linear",
            "use_bias": self.use_bias,
            "name": name,
        }
        bounds = {
            "initializer": initializer_of(self.initializer),
            "constraint": built(self.kernel_constraint),
            "regularizer": built(self.kernel_regularizer),
        }
        if not self.separable:
            return layers.Conv2D(
                width, self.kernel_size, **options, **{f"kernel_{key}": each for key, each in bounds.items()}
            )
        both = {f"{kernel}_{key}": each for kernel in ("depthwise", "pointwise") for key, each in bounds.items()}
        return layers.SeparableConv2D(width, self.kernel_size, **options, **both)

    def _shortcut(self, x: Any, name: str) -> Any:
        """What goes past the convolutions: the input, through a 1x1 convolution where its shape is another."""
        from keras import layers

        if x.shape[-1] == self.widths[-1] and self.strides == 1:
            return x
        layer = layers.Conv2D(
            self.widths[-1],
            1,
            strides=self.strides,
            kernel_initializer=initializer_of(self.initializer),
            use_bias=self.use_bias,
            kernel_constraint=built(self.kernel_constraint),
            kernel_regularizer=built(self.kernel_regularizer),
            name=f"{name}_shortcut",
        )
        shortcut = layer(x)
        settle(layer)
        early = self.batchnorm == "before_activation"
        return self._normalised(shortcut, f"{name}_shortcut_batchnorm") if early else shortcut


SETTINGS = tuple(field.name for field in fields(Stage) if field.name not in ("filters", "convs"))
_OF_CONVOLUTIONS = tuple(
    name for name in SETTINGS if name not in ("strides", "dropout") and not name.startswith("pool")
)

PLAIN: dict[str, Any] = {
    "padding": "same",
    "pool_padding": "same",
    "dropout": 0.0,
    "separable": False,
    "residual": False,
}
"""What a stem is, whatever the network says."""


def singles(stage: Stage) -> list[Stage]:
    """A complete stage as one stage a convolution, without settings that change nothing; a residual one stays whole."""
    if stage.residual:
        placement = "after_activation" if len(stage.widths) == 1 else "once_per_stage"
        once = stage.batchnorm == "once_per_stage"
        return [_effective(replace(stage, filters=stage.widths, batchnorm=placement if once else stage.batchnorm))]
    singles = [replace(stage, filters=(width,), convs=None) for width in stage.widths]
    *others, last = singles
    if stage.batchnorm == "once_per_stage":
        others = [replace(single, batchnorm=None) for single in others]
        last = replace(last, batchnorm="after_activation")
    singles = [*(replace(single, pool=None, dropout=0.0) for single in others), last]
    singles[1:] = [replace(single, strides=1) for single in singles[1:]]
    return [_effective(single) for single in singles]


def _effective(stage: Stage) -> Stage:
    """A stage of a single convolution, or a residual one, without settings that change nothing."""
    settings: dict[str, Any] = {}
    if stage.batchnorm == "after_activation" and stage.activation == "linear" and not stage.residual:
        settings["batchnorm"] = "before_activation"
    if stage.batchnorm is None:
        settings.update(batchnorm_momentum=None, batchnorm_scale=True)
    if stage.kernel_size == 1:
        settings["padding"] = "same"
    stride = stage.pool_stride or stage.pool_size
    if stage.pool is None or (stage.pool_size == 1 and stride == 1):
        settings.update(pool=None, pool_size=2, pool_stride=None, pool_padding="valid")
    else:
        settings["pool_stride"] = None if stride == stage.pool_size else stride
        if stage.pool_size == 1:
            settings.update(pool="max", pool_padding="valid")
    return replace(stage, **settings)


def one_stage(first: Any, second: Any) -> bool:
    """Whether two canonical stages, one after the other, are one with more convolutions."""
    if not isinstance(first, Stage) or not isinstance(second, Stage):
        return False
    if first.residual or second.residual or first.pool is not None or first.dropout or second.strides != 1:
        return False
    return all(getattr(first, name) == getattr(second, name) for name in _OF_CONVOLUTIONS)
