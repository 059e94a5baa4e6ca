"""A recipe: one network and how it is trained. With domains in it, it is a space of recipes."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from hpsearch.blocks.backbones import Backbone
from hpsearch.blocks.concat import BODY, DENSE, Branch, Concat
from hpsearch.blocks.convnet import ConvNet
from hpsearch.blocks.pretrained import Pretrained
from hpsearch.blocks.reading import read_by
from hpsearch.blocks.tiled import READS, Shapes, Tiled, shape_read
from hpsearch.declare import (
    Anything,
    Choice,
    Declared,
    Flag,
    Instance,
    Maybe,
    Number,
    Rule,
    brief,
    declared,
    is_declared,
    option,
    source,
    transformed,
    walk_fields,
)
from hpsearch.domains import possible
from hpsearch.errors import ModelError
from hpsearch.phases import may_freeze, phases_of, some
from hpsearch.regime import Training, disagreement

__all__ = ["HyperModel", "Model", "Recipe", "Training", "canonical", "code_of", "recipe_hash"]


@declared
class Model(Declared):
    """A network: a body that sees the data, pooling, dense layers, and a head.

    Args:
        body: ``ConvNet(...)``, a backbone such as ``MobileNetV2()``, ``Pretrained("trained.keras")``, ``Concat(...)``
            for several inputs, or a frozen dataclass of your own with ``__call__(x)``, which gets pixels from 0 to 1
            unless its class says ``pixels = "0..255"`` or ``pixels = "raw"``. None has none: the dense layers see a
            table as the vector that it is, or bare pixels from 0 to 1.
        input: The input of the data that it reads, or several images as one, ``Tiled("front", "back")``. None reads the
            only one there is; the branches of a ``Concat`` say for themselves what they read.
        pooling: How features of height and width become a vector: ``"flatten"``, ``"average"`` or ``"max"`` (global).
        dropout: Share of the pooled features set to zero while training.
        dense: The layers before the head: ``Dense(...)`` or blocks of your own.
        head: ``"softmax"``: one unit a class, categorical cross-entropy; ``"sigmoid"``: one unit for two classes,
            binary cross-entropy, the second class being 1; ``"linear"``: one unit that tells an amount, such as a
            price.
        logit_scale: What the last layer's values are multiplied by before softmax or sigmoid make probabilities of
            them; less than 1 keeps a network from being sure too early. Page, "How to train your ResNet", 2018.
        flip_averaging: Whether validation and the exported model answer with the mean of the probabilities, or amounts,
            of an image and of its mirror image; training does not. Where the model reads several images, all are
            mirrored. It is for images whose left and right may be exchanged, and takes a second pass through the
            network. What a frozen backbone makes of images is then not kept. Krizhevsky et al., "ImageNet
            classification with deep convolutional neural networks", NeurIPS 2012, average so.
    """

    body: Any = option(BODY)
    input: str | Tiled | None = option(READS, default=None)
    pooling: str = option(Choice("flatten", "average", "max"), default="flatten")
    dropout: float = option(Number(at_least=0, below=1), default=0.0)
    dense: Sequence[Any] = option(DENSE, default=())
    head: str = option(Choice("softmax", "sigmoid", "linear"), default="softmax")
    logit_scale: float = option(Number(above=0), default=1.0)
    flip_averaging: bool = option(Flag(), default=False)

    def conflict(self) -> tuple[str, str] | None:
        if isinstance(self.body, Concat) and self.input is not None:
            return "input", f"got {brief(self.input)} beside a Concat, whose branches say what they read; drop it."
        return None

    def canonical(self) -> Model:
        """A single branch is a model of its own, unless two dropouts would meet in it."""
        used = list(self.body.used) if isinstance(self.body, Concat) else []
        if not used:  # a Concat that a draw left without a branch is refused elsewhere
            return self
        (name, branch), *others = used
        if others or (self.dropout and (branch.dropout or branch.dense)):
            return replace(self, pooling="flatten")
        return replace(
            self,
            body=branch.body,
            input=branch.input or name,
            pooling=branch.pooling,
            dropout=self.dropout or branch.dropout,
            dense=(*branch.dense, *self.dense),
        )


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
class Recipe(Declared):
    """A network and how it is trained; concrete when it holds no domains.

    Args:
        model: ``Model(...)``, or ``HyperModel(build)``.
        training: ``Training(...)``.
    """

    model: Model | HyperModel = option(Instance((Model, HyperModel), "Model(...), HyperModel(build)"))
    training: Training = option(Instance((Training,), "Training(...)"))

    @property
    def epochs(self) -> int:
        """The most epochs of all phases together; only of a recipe without domains."""
        return sum(phase.epochs for phase in phases_of(self.training, self.model))

    def conflict(self) -> tuple[str, str] | None:
        return disagreement(self.model, self.training)

    def canonical(self) -> Recipe:
        if self.training.fine_tune is None or may_freeze(self.model):
            return self
        return replace(self, training=replace(self.training, fine_tune=None))

    def respelled(self, like: Any) -> Iterable[tuple[Any, Any]]:
        yield like, self
        if may_freeze(self.model):
            return
        for training in possible(like.training):
            for tuning in possible(training.fine_tune):
                other = None if tuning is None else some(tuning)
                if other != self.training.fine_tune:
                    yield like, replace(self, training=replace(self.training, fine_tune=other))


def canonical(recipe: Recipe, shapes: Shapes | tuple[int, int, int] | None = None) -> Recipe:
    """The one spelling of everything that builds the same network and trains it the same way.

    Different spellings of one list of filters, settings said on the network or on each stage, options that have no
    effect (the momentum of absent batch normalisation, the window of an absent pool) and placements that coincide
    (``once_per_stage`` with a single convolution) become one.

    Args:
        recipe: A recipe without domains.
        shapes: The inputs of the data by name, if known, or height, width and channels where images are all there is:
            where a body leaves a single pixel, all ways of pooling it are one, and resizing images to the size they
            have does nothing.
    """
    recipe = _canonical_part(recipe)
    if shapes is None or not isinstance(recipe.model, Model):
        return recipe
    shapes = {"image": shapes} if isinstance(shapes, tuple) else shapes
    model = _canonical_for(recipe.model, shapes)
    if model.flip_averaging and not _sees_images(model, shapes):
        model = replace(model, flip_averaging=False)
    return replace(recipe, model=model)


def _sees_images(model: Model, shapes: Shapes) -> bool:
    """Whether any input that a model reads has height and width."""
    parts = model.body.used if isinstance(model.body, Concat) else [(None, model)]
    try:
        return any(len(shape_read(read_by(part.input, name, shapes), shapes)) == 3 for name, part in parts)
    except ModelError:
        return True


def _canonical_for(model: Model, shapes: Shapes) -> Model:
    """A canonical model without what changes nothing for data of these shapes."""
    if isinstance(model.body, Concat):
        branches = {name: _canonical_reader(branch, name, shapes) for name, branch in model.body.used}
        return replace(model, body=Concat(**branches)) if branches else model
    if len(shapes) == 1 and model.input == next(iter(shapes)):
        model = replace(model, input=None)
    return _canonical_reader(model, None, shapes)


_Reader = TypeVar("_Reader", Model, Branch)


def _canonical_reader(part: _Reader, name: str | None, shapes: Shapes) -> _Reader:
    """A model, or a branch of this name, without what changes nothing for what it reads."""
    body = part.body
    try:
        shape = shape_read(read_by(part.input, name, shapes), shapes)
    except ModelError:
        return part
    if isinstance(body, ConvNet | Backbone | Pretrained) and (body.input_size,) * 2 == shape[:2]:
        part = replace(part, body=replace(body, input_size=None))
    if body is None:
        return replace(part, pooling="flatten") if len(shape) == 1 else part
    if not isinstance(body, ConvNet) or len(shape) != 3:
        return part
    try:
        left = body.output_shape((shape[0], shape[1], shape[2]))
    except ModelError:
        return part
    return replace(part, pooling="flatten") if left and left[:2] == (1, 1) else part


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


def recipe_hash(recipe: Recipe, shapes: Shapes | tuple[int, int, int] | None = None) -> str:
    """Twelve hexadecimal digits shared by all recipes that build and train the same network.

    A trained model that a recipe names counts by what is in its file.

    Args:
        recipe: A recipe without domains.
        shapes: As for `canonical`.
    """

    def named(part: Any) -> Any:
        return part.by_content if isinstance(part, Pretrained) else part

    text = " ".join(source(transformed(canonical(recipe, shapes), named)).split())
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
