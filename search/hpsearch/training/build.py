"""From a recipe to a Keras model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from hpsearch.blocks.augment import Augment
from hpsearch.blocks.backbones import Backbone
from hpsearch.blocks.convnet import ConvNet
from hpsearch.blocks.dense import Dense
from hpsearch.blocks.stage import Stage
from hpsearch.declare import transformed
from hpsearch.errors import HpsearchError, ModelError, WeightsError
from hpsearch.recipe import HyperModel, Model, Recipe
from hpsearch.resolve import Suggest

__all__ = [
    "Built",
    "Inputs",
    "UserCodeError",
    "augmented",
    "build",
    "build_network",
    "with_momentum",
    "without_weights",
]


class UserCodeError(HpsearchError):
    """A user's own ``build`` or block raised."""


@dataclass(frozen=True)
class Inputs:
    """What a network is built for.

    Args:
        shape: Height, width and channels of the images.
        classes: How many classes there are.
        white: The pixel value that stands for white.
    """

    shape: tuple[int, int, int]
    classes: int
    white: float


@dataclass(frozen=True)
class Built:
    """A network with the recipe that gives it.

    Args:
        network: The Keras model from raw pixels to class probabilities; what is scored and exported.
        recipe: The recipe, complete: a ``HyperModel`` now says its values.
        hyperparameters: What a ``HyperModel`` was built with, else None.
    """

    network: Any
    recipe: Recipe
    hyperparameters: Any = None

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
    if isinstance(recipe.model, HyperModel):
        return _build_hypermodel(recipe, recipe.model, inputs, suggest)
    return Built(build_network(recipe.model, inputs), recipe)


def build_network(model: Model, inputs: Inputs) -> Any:
    """Build a declared classifier.

    Args:
        model: A model without domains.
        inputs: What it is built for.

    Returns:
        A Keras model from raw pixels (batch, height, width, channels), float32, to probabilities (batch, classes), or
        (batch, 1) for a sigmoid head.

    Raises:
        ModelError: It does not fit the images; the address begins with ``model``.
        WeightsError: Pretrained weights cannot be had.
        UserCodeError: A user's own block raised.
    """
    import keras
    from keras import layers

    image = keras.Input(inputs.shape, name="image", dtype="float32")
    wants_bytes = getattr(model.body, "pixels", "0..1") == "0..255"
    pixels = layers.Rescaling((255 if wants_bytes else 1) / inputs.white, name="pixels")(image)
    x = _applied(model.body, pixels, "model.body")
    x = _pooled(x, model.pooling)
    if model.dropout:
        x = layers.Dropout(model.dropout, name="dropout")(x)
    for number, dense in enumerate(model.dense):
        x = _applied(dense, x, f"model.dense[{number}]", name=f"dense{number + 1}")
    head = {"softmax": (inputs.classes, "softmax"), "sigmoid": (1, "sigmoid")}[model.head]
    return keras.Model(
        image, layers.Dense(head[0], activation=head[1], name="head", dtype="float32")(x), name="network"
    )


def _applied(block: Any, x: Any, address: str, name: str | None = None) -> Any:
    """A block applied to a tensor; whatever goes wrong says where."""
    ours = type(block).__module__.startswith("hpsearch.")
    try:
        return block(x, name=name) if ours and name else block(x)
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


def _pooled(x: Any, pooling: str) -> Any:
    from keras import layers

    if len(x.shape) == 2:
        return x
    if pooling == "flatten":
        return layers.Flatten(name="flatten")(x)
    layer = layers.GlobalAveragePooling2D if pooling == "average" else layers.GlobalMaxPooling2D
    return layer(name=f"global_{pooling}")(x)


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


def augmented(network: Any, augment: Augment | None, inputs: Inputs, seed: int) -> Any:
    """The network behind the augmentation layers; they share its weights, and the network alone is exported.

    Args:
        network: The network.
        augment: The random changes, or None.
        inputs: What the network is built for.
        seed: Where the random numbers of the augmentation start.
    """
    import keras

    if augment is None or not augment.active:
        return network
    image = keras.Input(inputs.shape, name="image", dtype="float32")
    x = image
    for layer in augment.build(inputs.white, seed):
        x = layer(x)
    return keras.Model(image, network(x), name="training")


def without_weights(recipe: Any) -> Any:
    """A recipe, or a model, whose backbones start from random weights, to count parameters without a download.

    Args:
        recipe: It, without domains.
    """
    return transformed(recipe, lambda part: replace(part, weights=None) if isinstance(part, Backbone) else part)


def with_momentum(recipe: Recipe, images: int) -> Recipe:
    """The recipe with the momentum of its batch normalisation said where it was left to the number of steps.

    After one epoch, two per cent of the moving statistics are still what they started from, however few the steps are:
    Keras's 0.99 needs 400 of them for that, and until then a good network is validated with stale statistics.

    Args:
        recipe: A recipe without domains.
        images: How many images an epoch has.
    """
    steps = max(math.ceil(images / recipe.training.batch_size), 1)
    momentum = round(min(max(1 - 4 / steps, 0.5), 0.99), 3)

    def said(part: Any) -> Any:
        left = isinstance(part, ConvNet | Stage | Dense) and part.batchnorm_momentum is None
        return replace(part, batchnorm_momentum=momentum) if left else part

    changed: Recipe = transformed(recipe, said)
    return changed


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return " ".join(text.split())[:300] if text else "no further word"
