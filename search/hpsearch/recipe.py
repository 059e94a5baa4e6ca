"""A recipe: one network and how it is trained. With domains in it, it is a space of recipes."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hpsearch.blocks.augment import Augment
from hpsearch.blocks.convnet import ConvNet
from hpsearch.blocks.dense import Dense
from hpsearch.declare import (
    Choice,
    Declared,
    Instance,
    Many,
    Maybe,
    Number,
    Whole,
    declared,
    is_declared,
    option,
    source,
)
from hpsearch.errors import ModelError
from hpsearch.optimizers import SGD, Adam, AdamW, Plateau, RMSprop

__all__ = ["HyperModel", "Model", "Recipe", "Training", "canonical", "recipe_hash"]

Optimizer = Adam | AdamW | SGD | RMSprop


def _is_block(value: object) -> bool:
    return is_declared(value) and callable(value)


@declared
class Model(Declared):
    """A classifier: a body that sees the image, pooling, dense layers, and a head with one output a class.

    Args:
        body: ``ConvNet(...)``, a backbone such as ``MobileNetV2()``, or a frozen dataclass of your own with
            ``__call__(x)``, which gets pixels from 0 to 1 unless its class says ``pixels = "0..255"``.
        pooling: How features of height and width become a vector: ``"flatten"``, ``"average"`` or ``"max"`` (global).
        dropout: Share of the pooled features set to zero while training.
        dense: The layers before the head: ``Dense(...)`` or blocks of your own.
        head: ``"softmax"``: one unit a class, categorical cross-entropy; ``"sigmoid"``: one unit for two classes,
            binary cross-entropy, the second class being 1.
    """

    body: Any = option(Instance((), "ConvNet(...), a backbone, or a block of your own", _is_block))
    pooling: str = option(Choice("flatten", "average", "max"), default="flatten")
    dropout: float = option(Number(at_least=0, below=1), default=0.0)
    dense: Sequence[Any] = option(Many(Instance((Dense,), "Dense(...) or a block of your own", _is_block)), default=())
    head: str = option(Choice("softmax", "sigmoid"), default="softmax")

    def canonical(self) -> Model:
        return replace(self, dropout=float(self.dropout))


@declared
class HyperModel(Declared):
    """A Keras Tuner ``build(hp)`` function or ``keras_tuner.HyperModel``, taken as it is.

    ``build`` gets a ``keras_tuner.HyperParameters`` whose ``Int``, ``Float``, ``Choice``, ``Boolean``, ``Fixed``,
    conditional and name scopes work as they do in Keras Tuner. The images it will be trained on have the shape that the
    data declares; ``pixels`` says their range and ``labels`` their encoding. A model that ``build`` compiles is trained
    as it was compiled (the optimizer of ``Training`` is not used); one that it leaves uncompiled gets that optimizer and
    the loss that fits its output. Epochs, batch size, early stopping and augmentation are those of ``Training``; an
    overridden ``HyperModel.fit(hp, model, ...)`` is called in place of ``model.fit`` and may change them.

    Args:
        build: The function or object.
        values: The chosen values by name; None in a space, where they are open.
        pixels: ``"0..1"``: floats from 0 to 1, or ``"raw"``: as the data holds them.
        labels: ``"index"``: whole numbers, for sparse losses, or ``"one_hot"``: vectors, for categorical ones.
    """

    build: Callable[[Any], Any] = option(
        Instance((), "a build(hp) function or a keras_tuner.HyperModel", lambda v: callable(v) or hasattr(v, "build")),
        kw_only=False,
    )
    values: Mapping[str, Any] | None = option(Maybe(Instance((dict,), "a dict of values by name")), default=None)
    pixels: str = option(Choice("0..1", "raw"), default="0..1")
    labels: str = option(Choice("index", "one_hot"), default="index")


@declared
class Training(Declared):
    """How a network is trained.

    Args:
        epochs: The most epochs.
        batch_size: Images a step.
        optimizer: ``Adam(...)``, ``AdamW(...)``, ``SGD(...)`` or ``RMSprop(...)``.
        schedule: ``Plateau(...)``, or None for a constant learning rate.
        early_stopping: Epochs without an improvement of the validation loss after which training ends; None goes on.
        augment: Random changes of the training images; None makes none.
    """

    epochs: int = option(Whole(1))
    batch_size: int = option(Whole(1), default=32)
    optimizer: Optimizer = option(
        Instance((Adam, AdamW, SGD, RMSprop), "Adam(...), AdamW(...), SGD(...), RMSprop(...)"), default=Adam()
    )
    schedule: Plateau | None = option(Maybe(Instance((Plateau,), "Plateau(...)")), default=None)
    early_stopping: int | None = option(Maybe(Whole(1)), default=None)
    augment: Augment | None = option(Maybe(Instance((Augment,), "Augment(...)")), default=None)

    def canonical(self) -> Training:
        return replace(self, augment=self.augment if self.augment is not None and self.augment.active else None)


@declared
class Recipe(Declared):
    """A network and how it is trained; concrete when it holds no domains.

    Args:
        model: ``Model(...)``, or ``HyperModel(build)``.
        training: ``Training(...)``.
    """

    model: Model | HyperModel = option(Instance((Model, HyperModel), "Model(...), HyperModel(build)"))
    training: Training = option(Instance((Training,), "Training(...)"))


def canonical(recipe: Recipe, input_shape: tuple[int, int, int] | None = None) -> Recipe:
    """The one spelling of everything that builds the same network and trains it the same way.

    Different spellings of one list of filters, settings said on the network or on each stage, options that have no
    effect (the momentum of absent batch normalisation, the window of an absent pool) and placements that coincide
    (``once_per_stage`` with a single convolution) become one.

    Args:
        recipe: A recipe without domains.
        input_shape: Height, width and channels of the images, if known: where a body leaves a single pixel, all ways of
            pooling it are one.
    """
    recipe = _canonical_part(recipe)
    model = recipe.model
    if input_shape is None or not isinstance(model, Model) or not isinstance(model.body, ConvNet):
        return recipe
    try:
        shape = model.body.output_shape(input_shape)
    except ModelError:
        return recipe
    return replace(recipe, model=replace(model, pooling="flatten")) if shape and shape[:2] == (1, 1) else recipe


def _canonical_part(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_canonical_part(part) for part in value)
    if not is_declared(value):
        return value
    parts = {name: _canonical_part(part) for name, part in vars(value).items() if is_declared(part) or _is_list(part)}
    whole = replace(value, **parts) if parts else value
    return whole.canonical() if isinstance(whole, Declared) else whole


def _is_list(value: object) -> bool:
    return isinstance(value, tuple | list)


def recipe_hash(recipe: Recipe, input_shape: tuple[int, int, int] | None = None) -> str:
    """Twelve hexadecimal digits shared by all recipes that build and train the same network.

    Args:
        recipe: A recipe without domains.
        input_shape: Height, width and channels of the images, if known.
    """
    text = " ".join(source(canonical(recipe, input_shape)).split())
    if isinstance(recipe.model, HyperModel):
        text += _code_of(recipe.model.build)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _code_of(build: Any) -> str:
    """The code of a user's builder without its comments and layout; empty where Python does not know it."""
    import ast

    try:
        code = inspect.getsource(build if inspect.isfunction(build) else type(build))
        return ast.dump(ast.parse(inspect.cleandoc("\n" + code)))
    except (OSError, TypeError, SyntaxError):
        return ""
