"""A recipe: one network and how it is trained. With domains in it, it is a space of recipes."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hpsearch.blocks.augment import Augment
from hpsearch.blocks.backbones import Backbone
from hpsearch.blocks.convnet import ConvNet
from hpsearch.blocks.dense import Dense
from hpsearch.declare import (
    Anything,
    Choice,
    Declared,
    Instance,
    Many,
    Maybe,
    Number,
    Rule,
    Whole,
    declared,
    is_declared,
    option,
    source,
    walk_fields,
)
from hpsearch.errors import ModelError
from hpsearch.optimizers import SGD, Adam, AdamW, Plateau, RMSprop

__all__ = ["HyperModel", "Model", "Recipe", "Training", "canonical", "code_of", "recipe_hash"]

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


@declared
class HyperModel(Declared):
    """A Keras Tuner ``build(hp)`` function or ``keras_tuner.HyperModel``, taken as it is.

    ``build`` gets a ``keras_tuner.HyperParameters`` whose ``Int``, ``Float``, ``Choice``, ``Boolean``, ``Fixed``,
    conditional and name scopes work as they do in Keras Tuner. The images it will be trained on have the shape that the
    data declares; ``pixels`` says their range and ``labels`` their encoding. A model that ``build`` compiles is trained
    as it was compiled (the optimizer of ``Training`` is not used); one that it leaves uncompiled gets that optimizer
    and the loss that fits its output. Epochs, batch size, early stopping and augmentation are those of ``Training``; an
    overridden ``HyperModel.fit(hp, model, ...)`` is called in place of ``model.fit`` and may change them.

    The best network prints as ``HyperModel(build, values={...})``. A ``keras_tuner.HyperModel`` prints as the call that
    makes it, such as ``MyHyperModel(classes=10)``, with each argument taken from the attribute of that name; one that
    the object keeps under no such name prints as ``...`` and is yours to fill in.

    Args:
        build: A function with a name, or an object; a lambda or ``functools.partial`` could not be printed.
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

    def conflict(self) -> tuple[str, str] | None:
        build = self.build
        if isinstance(build, type):
            return "build", f"got the class {build.__name__}; write an object of it, {build.__name__}(...)."
        if inspect.isfunction(build) and build.__name__ == "<lambda>":
            return "build", "got a lambda, which could not be printed; write def build(hp): ... and give build."
        if inspect.ismethod(build):
            return "build", f"got the method {build.__name__} of an object; give the object itself, or a function."
        if isinstance(build, partial):
            wanted = "write def build(hp): return ... with them filled in, and give build."
            return "build", f"got a function with arguments filled in, which could not be printed; {wanted}"
        return None

    def canonical(self) -> HyperModel:
        values = self.values
        return self if values is None else replace(self, values={name: values[name] for name in sorted(values)})

    def source_call(self) -> tuple[str, list[object], dict[str, object]]:
        """As it is written, the object that builds by the call that makes it."""
        build = self.build if callable(self.build) and not hasattr(self.build, "build") else _Made(self.build)
        said = {name: value for name, value in vars(self).items() if name != "build"}
        defaults = {"values": None, "pixels": "0..1", "labels": "index"}
        return "HyperModel", [build], {name: value for name, value in said.items() if value != defaults[name]}


@dataclass(frozen=True)
class _Made:
    """An object of a user's own class, printed as the call that makes it."""

    made: Any

    def source_call(self) -> tuple[str, list[object], dict[str, object]]:
        options: dict[str, object] = {}
        if isinstance(self.made, type):
            return self.made.__name__, [], {}
        for parameter in _constructor(type(self.made)):
            kept = self._kept(parameter.name)
            if kept is ... or parameter.default is inspect.Parameter.empty or not _equal(kept, parameter.default):
                options[parameter.name] = kept
        return type(self.made).__name__, [], options

    def _kept(self, name: str) -> Any:
        """What the object keeps of an argument; ``...`` where it cannot be known."""
        known = vars(self.made) if hasattr(self.made, "__dict__") else {}
        return next((known[attribute] for attribute in (name, f"_{name}") if attribute in known), ...)


def _constructor(cls: type) -> list[inspect.Parameter]:
    """The arguments of a class by name; where it passes any others on, those of the class above it too."""
    kinds = inspect.Parameter
    found: dict[str, inspect.Parameter] = {}
    for above in cls.__mro__:
        if "__init__" not in vars(above) or above is object:
            continue
        parameters = list(inspect.signature(above.__init__).parameters.values())[1:]  # type: ignore[misc]  # looked up only
        named = [p for p in parameters if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)]
        found |= {p.name: p for p in named if p.name not in found}
        if not any(p.kind is kinds.VAR_KEYWORD for p in parameters):
            break
    return list(found.values())


def _equal(left: Any, right: Any) -> bool:
    """Whether two values are surely equal; arrays, which compare element by element, never are."""
    equal = left == right
    return equal if isinstance(equal, bool) else False


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

    def respelled(self, like: Any) -> Iterable[tuple[Any, Any]]:
        yield like, self
        if self.augment is None:
            yield like, replace(self, augment=Augment())
        elif not self.augment.active:
            yield like, replace(self, augment=None)


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
            pooling it are one, and resizing images to the size they have does nothing.
    """
    recipe = _canonical_part(recipe)
    if input_shape is None or not isinstance(recipe.model, Model):
        return recipe
    return replace(recipe, model=_canonical_for(recipe.model, input_shape))


def _canonical_for(model: Model, input_shape: tuple[int, int, int]) -> Model:
    """A canonical model without what changes nothing for images of this shape."""
    body = model.body
    if isinstance(body, ConvNet | Backbone) and (body.input_size,) * 2 == input_shape[:2]:
        model = replace(model, body=replace(body, input_size=None))
    if not isinstance(body, ConvNet):
        return model
    try:
        shape = body.output_shape(input_shape)
    except ModelError:
        return model
    return replace(model, pooling="flatten") if shape and shape[:2] == (1, 1) else model


def _canonical_part(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_canonical_part(part) for part in value)
    if not is_declared(value):
        return value
    parts = {name: _canonical_option(part, rule) for name, part, rule in walk_fields(value)}
    changed = {name: part for name, part in parts.items() if part is not getattr(value, name)}
    whole = replace(value, **changed) if changed else value
    return whole.canonical() if isinstance(whole, Declared) else whole


def _canonical_option(value: Any, rule: Rule) -> Any:
    # Where broken numbers are allowed, 1 and 1.0 are one; what a user's own dataclass means by them is not known.
    if type(value) is int and not isinstance(rule, Anything) and rule.accepts(float(value)):
        return float(value)
    return _canonical_part(value)


def recipe_hash(recipe: Recipe, input_shape: tuple[int, int, int] | None = None) -> str:
    """Twelve hexadecimal digits shared by all recipes that build and train the same network.

    Args:
        recipe: A recipe without domains.
        input_shape: Height, width and channels of the images, if known.
    """
    text = " ".join(source(canonical(recipe, input_shape)).split())
    if isinstance(recipe.model, HyperModel):
        text += code_of(recipe.model.build)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def code_of(build: Any) -> str:
    """The code of a user's builder without its comments and layout; empty where Python does not know it.

    Args:
        build: A function, or an object with ``build``.
    """
    import ast

    try:
        code = inspect.getsource(build if inspect.isfunction(build) else type(build))
        return ast.dump(ast.parse(inspect.cleandoc("\n" + code)))
    except (OSError, TypeError, SyntaxError):
        return ""
