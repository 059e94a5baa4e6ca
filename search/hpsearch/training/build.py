"""From a recipe to a Keras model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from hpsearch.blocks.backbones import Backbone
from hpsearch.blocks.concat import Branch, Concat
from hpsearch.blocks.convnet import ConvNet
from hpsearch.blocks.dense import Dense
from hpsearch.blocks.pretrained import Pretrained
from hpsearch.blocks.reading import check_body, read_by
from hpsearch.blocks.tiled import Tiled, shape_read
from hpsearch.declare import transformed
from hpsearch.errors import HpsearchError, ModelError, WeightsError, join_address
from hpsearch.recipe import HyperModel, Model, Recipe
from hpsearch.resolve import Suggest
from hpsearch.training.amounts import in_units
from hpsearch.training.augmenting import check_augment
from hpsearch.training.inputs import Inputs
from hpsearch.training.mirrored import both_ways
from hpsearch.training.precision import calculating

__all__ = [
    "Built",
    "UserCodeError",
    "build",
    "build_network",
    "without_weights",
]


class UserCodeError(HpsearchError):
    """A user's own ``build`` or block raised."""


@dataclass(frozen=True)
class Built:
    """A network with the recipe that gives it.

    Args:
        network: The Keras model from raw pixels to class probabilities; what is trained.
        recipe: The recipe, complete: a ``HyperModel`` now says its values.
        hyperparameters: What a ``HyperModel`` was built with, else None.
    """

    network: Any
    recipe: Recipe
    hyperparameters: Any = None

    @cached_property
    def answering(self) -> Any:
        """What is scored and exported: the network, or the mean of what it says of an image and its mirror image."""
        return both_ways(self.network) if self.mirrored else self.network

    @property
    def mirrored(self) -> bool:
        """Whether answers for mirror images count, too."""
        wanted = isinstance(self.recipe.model, Model) and self.recipe.model.flip_averaging
        return wanted and any(len(given.shape) == 4 for given in self.network.inputs)

    @property
    def parameters(self) -> int:
        """How many parameters it has, frozen ones included."""
        return int(self.network.count_params())


def build(recipe: Recipe, inputs: Inputs, suggest: Suggest) -> Built:
    """Build the network of a recipe.

    Args:
        recipe: A recipe without domains; a ``HyperModel`` in it may be open.
        inputs: What it is built for.
        suggest: Makes the choices of an open ``HyperModel``.

    Raises:
        ModelError: The network does not fit the images.
        WeightsError: Pretrained weights cannot be had.
        UserCodeError: A user's own code raised.
    """
    with calculating(recipe.training):
        if isinstance(recipe.model, HyperModel):
            built = _build_hypermodel(recipe, recipe.model, inputs, suggest)
        else:
            built = Built(build_network(recipe.model, inputs), recipe)
    check_augment(built.network, recipe.training.augment)
    return built


def build_network(model: Model, inputs: Inputs) -> Any:
    """Build a declared network.

    Args:
        model: A model without domains.
        inputs: What it is built for.

    Returns:
        A Keras model from raw pixels (batch, height, width, channels) or a table (batch, columns), float32, or a dict
        of such where it reads several inputs, to probabilities (batch, classes), or (batch, 1) for a sigmoid head, or
        to amounts (batch, 1) for a linear one.

    Raises:
        ModelError: It does not fit the data; the address begins with ``model``.
        WeightsError: Pretrained weights cannot be had.
        UserCodeError: A user's own block raised.
    """
    import keras
    from keras import layers

    entries: dict[str, Any] = {}
    if isinstance(model.body, Concat):
        parts = [_branch(name, branch, inputs, entries) for name, branch in model.body.used]
        x = parts[0] if len(parts) == 1 else layers.Concatenate(name="join")(parts)
    else:
        x = _seen(model, None, inputs, entries, "model", "")
    x = _narrowed(model, x, "model", "")
    x = _told(model, x, inputs.classes if model.head == "softmax" else 1)
    given = entries if len(entries) > 1 else next(iter(entries.values()))
    return keras.Model(given, in_units(x) if model.head == "linear" else x, name="network")


def _told(model: Model, x: Any, units: int) -> Any:
    """What the head of a model answers: (batch, units)."""
    from keras import layers

    scaled = model.logit_scale != 1
    x = layers.Dense(units, activation="linear" if scaled else model.head, name="head", dtype="float32")(x)
    if not scaled:
        return x
    x = layers.Rescaling(model.logit_scale, name="logit_scale", dtype="float32")(x)
    return layers.Activation(model.head, name="answer", dtype="float32")(x)


def _branch(name: str, branch: Branch, inputs: Inputs, entries: dict[str, Any]) -> Any:
    """What a branch gives to the join: (batch, features)."""
    address, prefix = f"model.body.{name}", f"{name}_"
    return _narrowed(branch, _seen(branch, name, inputs, entries, address, prefix), address, prefix)


def _seen(
    part: Model | Branch, name: str | None, inputs: Inputs, entries: dict[str, Any], address: str, prefix: str
) -> Any:
    """What the body of a model or of a branch makes of what it reads, as a vector.

    Args:
        part: The model or branch.
        name: The name of the branch; None for a model.
        inputs: What the data has.
        entries: The inputs of the network by name; those that are read are added.
        address: Where the part stands.
        prefix: What the names of its layers begin with.
    """
    try:
        read = read_by(part.input, name, inputs.features)
        check_body(part.body, read, shape_read(read, inputs.features))
    except ModelError as error:
        raise error.below(address) from None
    x = _scaled(_entered(read, inputs, entries, prefix), part.body, inputs.white, prefix)
    if part.body is not None:
        names = {"prefix": prefix} if isinstance(part.body, ConvNet | Backbone | Pretrained) else {}
        x = _applied(part.body, x, join_address(address, "body"), **names)
    return _pooled(x, part.pooling, address, prefix)


def _entered(read: str | Tiled, inputs: Inputs, entries: dict[str, Any], prefix: str) -> Any:
    """The symbolic input that is read, or several as one picture."""
    import keras

    for name in read.inputs if isinstance(read, Tiled) else (read,):
        if name not in entries:
            entries[name] = keras.Input(inputs.features[name], name=name, dtype="float32")
    return read([entries[name] for name in read.inputs], prefix) if isinstance(read, Tiled) else entries[read]


def _scaled(x: Any, body: Any, white: float, prefix: str) -> Any:
    """Pixels in the range that a body wants; a table as it is."""
    from keras import layers

    wanted = getattr(body, "pixels", "0..1")
    if len(x.shape) != 4 or wanted == "raw":
        return x
    return layers.Rescaling((255 if wanted == "0..255" else 1) / white, name=f"{prefix}pixels")(x)


def _narrowed(part: Model | Branch, x: Any, address: str, prefix: str) -> Any:
    """Dropout and dense layers of a model or of a branch."""
    from keras import layers

    if part.dropout:
        x = layers.Dropout(part.dropout, name=f"{prefix}dropout")(x)
    for number, dense in enumerate(part.dense):
        name = {"name": f"{prefix}dense{number + 1}"} if isinstance(dense, Dense) else {}
        x = _applied(dense, x, f"{address}.dense[{number}]", **name)
    return x


def _applied(block: Any, x: Any, address: str, **names: str) -> Any:
    """A block applied to a tensor; whatever goes wrong says where."""
    ours = type(block).__module__.startswith("hpsearch.")
    try:
        return block(x, **names)
    except ModelError as error:
        raise error.below(address) from error
    except WeightsError:
        raise
    except Exception as error:
        if ours:
            raise ModelError(f"Keras refuses it: {_first_line(error)}", address) from error
        raise UserCodeError(
            f"{address}: {type(block).__name__} raised {type(error).__name__}: {_first_line(error)}"
        ) from error


def _pooled(x: Any, pooling: str, address: str, prefix: str) -> Any:
    from keras import layers

    if len(x.shape) == 2:
        return x
    if pooling == "flatten":
        return layers.Flatten(name=f"{prefix}flatten")(x)
    if len(x.shape) != 4:
        sides = "x".join(map(str, x.shape[1:]))
        problem = f'got "{pooling}" for features of {sides}, which have no height and width; write "flatten".'
        raise ModelError(problem, join_address(address, "pooling"))
    layer = layers.GlobalAveragePooling2D if pooling == "average" else layers.GlobalMaxPooling2D
    return layer(name=f"{prefix}global_{pooling}")(x)


def _build_hypermodel(recipe: Recipe, hypermodel: HyperModel, inputs: Inputs, suggest: Suggest) -> Built:
    import keras

    from hpsearch.training.hyperparameters import SuggestedHyperParameters

    hp = SuggestedHyperParameters(suggest, "model", dict(hypermodel.values or {}))
    builder = hypermodel.build
    call = builder.build if hasattr(builder, "build") else builder
    try:
        network = call(hp)
    except HpsearchError:
        raise
    except Exception as error:
        raise UserCodeError(f"build(hp) raised {type(error).__name__}: {_first_line(error)}") from error
    if not isinstance(network, keras.Model):
        raise UserCodeError(f"build(hp) returned a {type(network).__name__}; it must return a keras.Model.")
    if not network.built:
        network.build((None, *inputs.shape))
    complete = replace(recipe, model=replace(hypermodel, values=hp.chosen))
    return Built(network, complete, hp)


def without_weights(recipe: Any) -> Any:
    """A recipe, or a model, whose backbones start from random weights, to count parameters without a download.

    Args:
        recipe: It, without domains.
    """

    def untrained(part: Any) -> Any:
        if isinstance(part, Pretrained):
            return part.untrained
        return replace(part, weights=None) if isinstance(part, Backbone) else part

    return transformed(recipe, untrained)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return " ".join(text.split())[:300] if text else "no further word"
