"""Convolutional networks: stages of convolutions, each stage closed by a pool.

A setting that holds for the whole network is said once on ``ConvNet``; a ``Stage`` may say otherwise for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from itertools import islice, product
from typing import Any, ClassVar

from hpsearch.blocks.batchnorm import MOMENTUM
from hpsearch.blocks.resize import INPUT_SIZE, resized
from hpsearch.blocks.stage import INHERIT, PAD, PLACEMENT, POOL, RATE, SETTINGS, Stage, one_stage, singles
from hpsearch.blocks.stem import Stem
from hpsearch.blocks.weights import (
    ACTIVATION,
    CONSTRAINT,
    KERNEL_INITIALIZER,
    L1,
    L1L2,
    L2,
    PENALTY,
    MaxNorm,
)
from hpsearch.blocks.whitening import Whitening
from hpsearch.declare import (
    Declared,
    Flag,
    Instance,
    Many,
    Maybe,
    Whole,
    declared,
    is_declared,
    option,
)
from hpsearch.domains import Domain, OneOf, Repeat, Tied
from hpsearch.errors import ModelError

__all__ = ["ConvNet", "Stage", "Stem", "Whitening"]


_MOST_SPELLINGS = 256  # settings left open on the network and on stages at once multiply


def _is_block(value: object) -> bool:
    return is_declared(value) and callable(value)


@declared
class ConvNet(Declared):
    """Stages of convolutions, one after the other.

    Args:
        stages: The stages; a user's own block (a frozen dataclass with ``__call__(x)``) may stand among them.
        input_size: Side in pixels to which images are resized first; None takes them as they are.
        stem: ``Stem(...)`` or ``Whitening(...)``, which stands before the stages, or None.
        kernel_size: Side of the convolution window.
        strides: Stride of the first convolution of a stage.
        padding: ``"same"`` or ``"valid"``, for the convolutions.
        activation: A Keras activation by name.
        initializer: A Keras initializer by name, for the kernels; or ``"dirac"``, with which a convolution begins by
            handing on its input: its first filters each hand on a channel, and the others begin as Keras has it
            (Zagoruyko and Komodakis, "DiracNets", 2017). It is not for separable convolutions.
        use_bias: Whether the convolutions have a bias.
        batchnorm: Where batch normalisation stands: None, ``"before_activation"``, ``"after_activation"`` of every
            convolution, or ``"once_per_stage"``, after the last activation of a stage.
        batchnorm_momentum: How slowly the moving statistics follow. None replaces them after every epoch by those of
            256 training images as the network sees them then: moving ones lag behind, and Keras's 0.99 needs hundreds
            of steps to forget what they began with.
        batchnorm_scale: Whether batch normalisation learns a factor for each channel, besides an offset.
        separable: Whether convolutions are depthwise separable: one window a channel, then a 1x1 convolution across
            channels (Chollet, "Xception", CVPR 2017). Initializer, constraint and penalty hold for both.
        residual: Whether what goes into a stage is added to what its convolutions give (He et al., "Deep residual
            learning for image recognition", CVPR 2016): before the last activation, and before the pool. Batch
            normalisation ``"before_activation"`` stands before the sum, the others after it. Where channels or stride
            change, what goes in passes through a 1x1 convolution first.
        pool: What closes a stage: ``"max"``, ``"average"`` or None.
        pool_size: Side of the pooling window.
        pool_stride: Stride of the pool; None is the size of its window.
        pool_padding: ``"valid"`` or ``"same"``, for the pools.
        dropout: Share of the values set to zero after a stage's pool while training.
        kernel_constraint: ``MaxNorm(3)`` or None, for every convolution.
        kernel_regularizer: ``L1``, ``L2``, ``L1L2`` or None, for every convolution.
    """

    pixels: ClassVar[str] = "0..1"

    stages: Sequence[Any] = option(Many(Instance((Stage,), "Stage(...) or a block of your own", _is_block), at_least=1))
    input_size: int | None = option(INPUT_SIZE, default=None)
    stem: Stem | Whitening | None = option(
        Maybe(Instance((Stem, Whitening), "Stem(filters=64), Whitening(kernel_size=2)")), default=None
    )
    kernel_size: int = option(Whole(1), default=3)
    strides: int = option(Whole(1), default=1)
    padding: str = option(PAD, default="same")
    activation: str = option(ACTIVATION, default="relu")
    initializer: str = option(KERNEL_INITIALIZER, default="glorot_uniform")
    use_bias: bool = option(Flag(), default=True)
    batchnorm: str | None = option(PLACEMENT, default=None)
    batchnorm_momentum: float | None = option(MOMENTUM, default=None)
    batchnorm_scale: bool = option(Flag(), default=True)
    separable: bool = option(Flag(), default=False)
    residual: bool = option(Flag(), default=False)
    pool: str | None = option(POOL, default="max")
    pool_size: int = option(Whole(1), default=2)
    pool_stride: int | None = option(Maybe(Whole(1)), default=None)
    pool_padding: str = option(PAD, default="valid")
    dropout: float = option(RATE, default=0.0)
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
        for address, stage in self._parts():
            if not isinstance(stage, Stage | Whitening):
                return None
            try:
                shape = (self.complete(stage) if isinstance(stage, Stage) else stage).output_shape(shape)
            except ModelError as error:
                raise error.below(address) from None
        return shape

    def _parts(self) -> list[tuple[str, Any]]:
        """The stem, as a stage if it is like one, the stages and the blocks of the user's own, with their addresses."""
        stem = self.stem.stage if isinstance(self.stem, Stem) else self.stem
        parts = [] if stem is None else [("stem", stem)]
        return [*parts, *((f"stages[{number}]", stage) for number, stage in enumerate(self.stages))]

    def canonical(self) -> ConvNet:
        stages: list[Any] = []
        whitening = self.stem if isinstance(self.stem, Whitening) else None
        for _, stage in self._parts()[0 if whitening is None else 1 :]:
            for single in singles(self.complete(stage)) if isinstance(stage, Stage) else [stage]:
                if stages and one_stage(stages[-1], single):
                    stages[-1] = replace(
                        single, filters=stages[-1].filters + single.filters, strides=stages[-1].strides
                    )
                else:
                    stages.append(single)
        plain = [stage for stage in stages if isinstance(stage, Stage)]
        common = {name: getattr(plain[0], name) if plain else _DEFAULTS[name] for name in SETTINGS}
        common = {
            name: value if all(getattr(stage, name) == value for stage in plain) else _DEFAULTS[name]
            for name, value in common.items()
        }
        return replace(self, stem=whitening, stages=tuple(_inheriting(stage, common) for stage in stages), **common)

    def respelled(self, like: Any) -> Iterable[tuple[Any, Any]]:
        """What is said on the network and what on its stages compares once each stage says everything.

        A stage of ``like`` that leaves a setting to the network must then be what the network is. Where ``like`` leaves
        that open, the network is taken to be what any of the stages here is.
        """
        complete = tuple(self.complete(stage) if isinstance(stage, Stage) else stage for stage in self.stages)
        stages = [stage for stage in complete if isinstance(stage, Stage)]
        said = _said_on_stages(like.stages)
        candidates = [self._common(name, like, stages, name in said) for name in SETTINGS]
        for values in islice(product(*candidates), _MOST_SPELLINGS):
            common = dict(zip(SETTINGS, values, strict=True))
            yield replace(like, stages=_settled(like.stages, common)), replace(self, stages=complete, **common)

    def _common(self, name: str, like: ConvNet, stages: list[Stage], partly: bool) -> list[Any]:
        """What the network may be taken to say for a setting, the likeliest first.

        Args:
            name: The setting.
            like: The network to compare with.
            stages: The stages of this one, complete.
            partly: Whether any stage to compare with says the setting for itself.
        """
        fixed, own = getattr(like, name), getattr(self, name)
        if isinstance(self.stem, Stem) and name in _OF_STEM:
            return [own]
        found = [getattr(stage, name) for stage in stages]
        if partly and not isinstance(fixed, Domain):
            return [fixed]
        if partly:
            return _different([own, *found])
        common = found[0] if found and all(value == found[0] for value in found) else own
        if name != "pool_stride":
            return [common]
        # A stride of None is the size of the window: the two spellings of one pool.
        return _different([common, None, *(stage.pool_size for stage in stages)])

    def __call__(self, x: Any, prefix: str = "") -> Any:
        """Apply the stages.

        Args:
            x: A symbolic tensor of shape (batch, height, width, channels), float from 0 to 1.
            prefix: What the names of layers begin with.

        Returns:
            A symbolic tensor of shape (batch, height, width, channels), float.

        Raises:
            ModelError: A window does not fit; the address names the stage.
        """
        self.output_shape(tuple(x.shape[1:]))
        x = resized(x, self.input_size, prefix)
        if self.stem is not None:
            stem = self.complete(self.stem.stage) if isinstance(self.stem, Stem) else self.stem
            x = stem(x, name=f"{prefix}stem")
        for number, stage in enumerate(self.stages, start=1):
            x = self.complete(stage)(x, name=f"{prefix}stage{number}") if isinstance(stage, Stage) else stage(x)
        return x


_OF_STEM = tuple(name for name in SETTINGS if getattr(Stem(filters=1).stage, name) is INHERIT)
"""The settings that a stem leaves to the network."""


def _different(values: list[Any]) -> list[Any]:
    """The values without those that were there before."""
    return [value for i, value in enumerate(values) if value not in values[:i]]


_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(ConvNet)}


def _inheriting(stage: Any, common: dict[str, Any]) -> Any:
    """The stage without the settings that the network says already."""
    if not isinstance(stage, Stage):
        return stage
    same = [name for name in SETTINGS if getattr(stage, name) == common[name]]
    return replace(stage, **dict.fromkeys(same, INHERIT))


def _said_on_stages(stages: Any) -> set[str]:
    """The settings that any stage, of some that may be open, says for itself."""
    said: set[str] = set()

    def note(stage: Stage) -> Stage:
        said.update(name for name in SETTINGS if getattr(stage, name) is not INHERIT)
        return stage

    _each_stage(stages, note)
    return said


def _settled(stages: Any, common: dict[str, Any]) -> Any:
    """Stages, which may be open, that say what they left to a network saying ``common``."""
    return _each_stage(
        stages, lambda stage: replace(stage, **{n: v for n, v in common.items() if getattr(stage, n) is INHERIT})
    )


def _each_stage(value: Any, change: Callable[[Stage], Stage]) -> Any:
    """A list of stages, or the domain of one, with each stage changed; what is chosen keeps its name."""
    if isinstance(value, Stage):
        return change(value)
    if isinstance(value, Repeat):
        return replace(value, element=_each_stage(value.element, change))
    if isinstance(value, Tied):
        return replace(value, domain=_each_stage(value.domain, change))
    if isinstance(value, OneOf):
        return replace(value, options=tuple(_each_stage(option_, change) for option_ in value.options))
    if isinstance(value, tuple | list):
        return tuple(_each_stage(part, change) for part in value)
    return value
