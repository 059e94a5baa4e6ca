"""Convolutional networks: stages of convolutions, each stage closed by a pool.

A setting that holds for the whole network is said once on [`ConvNet`]; a [`Stage`] may say otherwise for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from enum import Enum
from typing import Any, ClassVar

from hpsearch.blocks.resize import INPUT_SIZE, resized
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
    is_declared,
    option,
)
from hpsearch.domains import Domain, OneOf, Repeat, Tied
from hpsearch.errors import ModelError

__all__ = ["ConvNet", "Stage"]


class _Inherit(Enum):
    """The default of a stage's settings: what the network says."""

    INHERIT = "inherit"


INHERIT: Any = _Inherit.INHERIT

_PLACEMENT = Choice(None, "before_activation", "after_activation", "once_per_stage")
_PAD = Choice("same", "valid")
_RATE = Number(at_least=0, below=1)


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
    """

    filters: int | Sequence[int] = option(Either(Whole(1), Many(Whole(1), at_least=1)))
    convs: int | None = option(Maybe(Whole(1)), default=None)
    kernel_size: int = _setting(Whole(1))
    strides: int = _setting(Whole(1))
    padding: str = _setting(_PAD)
    activation: str = _setting(ACTIVATION)
    initializer: str = _setting(INITIALIZER)
    use_bias: bool = _setting(Flag())
    batchnorm: str | None = _setting(_PLACEMENT)
    batchnorm_momentum: float = _setting(_RATE)
    pool: str | None = _setting(Choice(None, "max", "average"))
    pool_size: int = _setting(Whole(1))
    pool_stride: int | None = _setting(Maybe(Whole(1)))
    pool_padding: str = _setting(_PAD)
    dropout: float = _setting(_RATE)
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
            return "convs", "got a number of convolutions beside a list of filters, whose length says it already; drop one."
        return None

    def canonical(self) -> Stage:
        return replace(self, filters=self.widths, convs=None)

    def respelled(self, like: object) -> Stage:
        widths = self.widths
        if getattr(like, "convs", None) is not None and len(set(widths)) == 1:
            return replace(self, filters=widths[0], convs=len(widths))
        return replace(self, filters=widths[0] if len(widths) == 1 else widths, convs=None)

    def output_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Height, width and channels after this stage, whose settings are all said.

        Args:
            shape: Height, width and channels before it.

        Raises:
            ModelError: A kernel or pool is larger than what is left of the image.
        """
        height, width, _ = shape
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

        early = self.batchnorm == "before_activation"
        for number, width in enumerate(self.widths, start=1):
            conv = f"{name}_conv{number}"
            x = layers.Conv2D(
                width,
                self.kernel_size,
                strides=self.strides if number == 1 else 1,
                padding=self.padding,
                activation="linear" if early else self.activation,
                kernel_initializer=self.initializer,
                use_bias=self.use_bias,
                kernel_constraint=built(self.kernel_constraint),
                kernel_regularizer=built(self.kernel_regularizer),
                name=conv,
            )(x)
            if self.batchnorm and (self.batchnorm != "once_per_stage" or number == len(self.widths)):
                x = layers.BatchNormalization(momentum=self.batchnorm_momentum, name=f"{conv}_batchnorm")(x)
            if early and self.activation != "linear":
                x = layers.Activation(self.activation, name=f"{conv}_{self.activation}")(x)
        if self.pool:
            pool = layers.MaxPooling2D if self.pool == "max" else layers.AveragePooling2D
            x = pool(self.pool_size, strides=self.pool_stride, padding=self.pool_padding, name=f"{name}_pool")(x)
        if self.dropout:
            x = layers.Dropout(self.dropout, name=f"{name}_dropout")(x)
        return x


SETTINGS = tuple(field.name for field in fields(Stage) if field.name not in ("filters", "convs"))  # type: ignore[arg-type]  # declared makes a dataclass


def _is_block(value: object) -> bool:
    return is_declared(value) and callable(value)


@declared
class ConvNet(Declared):
    """Stages of convolutions, one after the other.

    Args:
        stages: The stages; a user's own block (a frozen dataclass with ``__call__(x)``) may stand among them.
        input_size: Side in pixels to which images are resized first; None takes them as they are.
        kernel_size: Side of the convolution window.
        strides: Stride of the first convolution of a stage.
        padding: ``"same"`` or ``"valid"``, for the convolutions.
        activation: A Keras activation by name.
        initializer: A Keras initializer by name, for the kernels.
        use_bias: Whether the convolutions have a bias.
        batchnorm: Where batch normalisation stands: None, ``"before_activation"``, ``"after_activation"`` of every
            convolution, or ``"once_per_stage"``, after the last activation of a stage.
        batchnorm_momentum: How slowly the moving statistics follow; 0.9 is right after a few dozen steps, Keras's own
            default of 0.99 only after several hundred, and a short training would be judged by stale ones.
        pool: What closes a stage: ``"max"``, ``"average"`` or None.
        pool_size: Side of the pooling window.
        pool_stride: Stride of the pool; None is the size of its window.
        pool_padding: ``"valid"`` or ``"same"``, for the pools.
        dropout: Share of the values set to zero after a stage's pool while training.
        kernel_constraint: ``MaxNorm(3)`` or None, for every convolution.
        kernel_regularizer: ``L1``, ``L2``, ``L1L2`` or None, for every convolution.
    """

    pixels: ClassVar[str] = "0..1"

    stages: Sequence[Any] = option(
        Many(Instance((Stage,), "Stage(...) or a block of your own", _is_block), at_least=1)
    )
    input_size: int | None = option(INPUT_SIZE, default=None)
    kernel_size: int = option(Whole(1), default=3)
    strides: int = option(Whole(1), default=1)
    padding: str = option(_PAD, default="same")
    activation: str = option(ACTIVATION, default="relu")
    initializer: str = option(INITIALIZER, default="glorot_uniform")
    use_bias: bool = option(Flag(), default=True)
    batchnorm: str | None = option(_PLACEMENT, default=None)
    batchnorm_momentum: float = option(_RATE, default=0.9)
    pool: str | None = option(Choice(None, "max", "average"), default="max")
    pool_size: int = option(Whole(1), default=2)
    pool_stride: int | None = option(Maybe(Whole(1)), default=None)
    pool_padding: str = option(_PAD, default="valid")
    dropout: float = option(_RATE, default=0.0)
    kernel_constraint: MaxNorm | None = option(CONSTRAINT, default=None)
    kernel_regularizer: L1 | L2 | L1L2 | None = option(PENALTY, default=None)

    def complete(self, stage: Stage) -> Stage:
        """The stage with every setting said, its own or the network's."""
        open_settings = [name for name in SETTINGS if getattr(stage, name) is INHERIT]
        return replace(stage, **{name: getattr(self, name) for name in open_settings})

    def output_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int] | None:
        """Height, width and channels of the features; None where a user's own block hides them.

        Args:
            shape: Height, width and channels of the images.

        Raises:
            ModelError: A window does not fit; the address names the stage.
        """
        if self.input_size is not None:
            shape = (self.input_size, self.input_size, shape[2])
        for number, stage in enumerate(self.stages):
            if not isinstance(stage, Stage):
                return None
            try:
                shape = self.complete(stage).output_shape(shape)
            except ModelError as error:
                raise error.below(f"stages[{number}]") from None
        return shape

    def canonical(self) -> ConvNet:
        stages = [_canonical_stage(self.complete(s)) if isinstance(s, Stage) else s for s in self.stages]
        plain = [stage for stage in stages if isinstance(stage, Stage)]
        common = {name: getattr(plain[0], name) if plain else _DEFAULTS[name] for name in SETTINGS}
        common = {
            name: value if all(getattr(stage, name) == value for stage in plain) else _DEFAULTS[name]
            for name, value in common.items()
        }
        return replace(self, stages=tuple(_inheriting(stage, common) for stage in stages), **common)

    def respelled(self, like: object) -> ConvNet:
        if not isinstance(like, ConvNet):
            return self
        said = _said_on_stages(like)
        complete = [self.complete(s) if isinstance(s, Stage) else s for s in self.stages]
        plain = [stage for stage in complete if isinstance(stage, Stage)]
        common: dict[str, Any] = {}
        for name in SETTINGS:
            values = [getattr(stage, name) for stage in plain]
            if name in said and not isinstance(getattr(like, name), Domain):
                common[name] = getattr(like, name)
            elif name not in said and values and all(value == values[0] for value in values):
                common[name] = values[0]
            else:
                common[name] = getattr(self, name)
        keep = {name: object() if name in said else value for name, value in common.items()}
        return replace(self, stages=tuple(_inheriting(stage, keep) for stage in complete), **common)

    def __call__(self, x: Any) -> Any:
        """Apply the stages.

        Args:
            x: A symbolic tensor of shape (batch, height, width, channels), float from 0 to 1.

        Returns:
            A symbolic tensor of shape (batch, height, width, channels), float.

        Raises:
            ModelError: A window does not fit; the address names the stage.
        """
        self.output_shape(tuple(x.shape[1:]))
        x = resized(x, self.input_size)
        for number, stage in enumerate(self.stages, start=1):
            x = self.complete(stage)(x, name=f"stage{number}") if isinstance(stage, Stage) else stage(x)
        return x


_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(ConvNet)}  # type: ignore[arg-type]  # declared makes a dataclass


def _canonical_stage(stage: Stage) -> Stage:
    """A complete stage without settings that change nothing."""
    settings: dict[str, Any] = {"dropout": float(stage.dropout)}
    if stage.batchnorm == "once_per_stage" and len(stage.widths) == 1:
        settings["batchnorm"] = "after_activation"
    if settings.get("batchnorm", stage.batchnorm) == "after_activation" and stage.activation == "linear":
        settings["batchnorm"] = "before_activation"
    if stage.batchnorm is None:
        settings["batchnorm_momentum"] = _DEFAULTS["batchnorm_momentum"]
    if stage.kernel_size == 1:
        settings["padding"] = _DEFAULTS["padding"]
    stride = stage.pool_stride or stage.pool_size
    if stage.pool is None or (stage.pool_size == 1 and stride == 1):
        settings.update(pool=None, pool_size=2, pool_stride=None, pool_padding="valid")
    else:
        settings["pool_stride"] = None if stride == stage.pool_size else stride
        if stage.pool_size == 1:
            settings.update(pool="max", pool_padding="valid")
    return replace(stage, **settings)


def _inheriting(stage: Any, common: dict[str, Any]) -> Any:
    """The stage without the settings that the network says already."""
    if not isinstance(stage, Stage):
        return stage
    same = [name for name in SETTINGS if getattr(stage, name) == common[name]]
    return replace(stage, **dict.fromkeys(same, INHERIT))


def _said_on_stages(net: ConvNet) -> set[str]:
    """The settings that any stage of a network with domains says for itself."""
    def stages(value: Any) -> list[Stage]:
        if isinstance(value, Stage):
            return [value]
        if isinstance(value, Repeat):
            return stages(value.element)
        if isinstance(value, Tied):
            return stages(value.domain)
        if isinstance(value, OneOf):
            return [stage for option_ in value.options for stage in stages(option_)]
        if isinstance(value, tuple | list):
            return [stage for part in value for stage in stages(part)]
        return []

    return {name for stage in stages(net.stages) for name in SETTINGS if getattr(stage, name) is not INHERIT}
