"""``build_model()`` for a declared network: backbones and what was trained before are said as a person would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from hpsearch.blocks.backbones import Backbone, EfficientNetV2B0
from hpsearch.blocks.concat import Concat
from hpsearch.blocks.frozen import leaves
from hpsearch.blocks.pretrained import Pretrained
from hpsearch.recipe import Model
from hpsearch.training.build import Built
from hpsearch.training.script.calls import Call, Raw
from hpsearch.training.script.network import Nested, Written, written_network

__all__ = ["frozen_networks", "model_text"]

_NAMES = {
    "VGG16": "vgg16",
    "ResNet50": "resnet50",
    "MobileNetV2": "mobilenetv2",
    "MobileNetV3Small": "mobilenetv3small",
    "MobileNetV3Large": "mobilenetv3large",
    "EfficientNetV2B0": "efficientnetv2",
}
"""What Keras calls them, in small letters."""


def model_text(built: Built, folder: Path, answer: str) -> Written:
    """The functions that build a declared network.

    Args:
        built: The network and its recipe.
        folder: Takes the files of networks that were trained before.
        answer: What the network tells, for a comment.

    Raises:
        ScriptError: It cannot be written as plain Keras code.
    """
    model = built.recipe.model
    assert isinstance(model, Model)
    parts = dict(_parts(model))

    def nested(network: Any) -> Nested | None:
        for prefix, body in parts.items():
            name = network.name.lower()
            if isinstance(body, Backbone) and name.startswith(prefix.lower() + _NAMES[type(body).__name__]):
                return _backbone(body, prefix, network)
            if isinstance(body, Pretrained) and network.name == f"{prefix}pretrained":
                return _pretrained(body, prefix, network, folder)
        return None

    branches = [prefix[:-1] for prefix in parts if prefix]
    begin = _precision(built.recipe.training.precision)
    doc = "The network that was found, with new weights."
    return written_network(built.network, nested, branches, _explained(branches, answer), doc=doc, begin=begin)


def frozen_networks(model: Model) -> list[str]:
    """The names of the networks within a model that are frozen in whole or in part.

    Args:
        model: Without domains.
    """
    return [_called(body, prefix) for prefix, body in _parts(model) if getattr(body, "frozen", False) is True]


def _parts(model: Model) -> Iterator[tuple[str, Any]]:
    """The bodies of a model by what the names of their layers begin with."""
    if isinstance(model.body, Concat):
        for name, branch in model.body.used:
            yield f"{name}_", branch.body
    else:
        yield "", model.body


def _called(body: Any, prefix: str) -> str:
    return f"{prefix}{'pretrained' if isinstance(body, Pretrained) else 'backbone'}"


def _backbone(body: Backbone, prefix: str, network: Any) -> Nested:
    variable = _called(body, prefix)
    width = getattr(body, "alpha", 1)
    alpha = {} if width == 1 else {"alpha": width}
    shape = tuple(network.input_shape[1:])
    options = {**alpha, "include_top": False, "weights": body.weights, "input_shape": shape}
    begin: tuple[str, ...] = ()
    if isinstance(body, EfficientNetV2B0):
        begin = (f'NAME.name = "{variable}"',)  # given another name, Keras looks for another network
    else:
        options["name"] = variable
    said = ""
    if body.weights is not None and Path(body.weights).name == body.weights_file(shape[0]):
        said = 'The weights are the file that weights="imagenet" downloads.'
    call = Call(f"keras.applications.{type(body).__name__}", (), options)
    return Nested(call, (*begin, *_frozen(body, network)), said, variable)


def _pretrained(body: Pretrained, prefix: str, network: Any, folder: Path) -> Nested:
    """The part of a trained model, kept beside the script as it was before this training."""
    variable = _called(body, prefix)
    given = network._inbound_nodes[-1].input_tensors[0]  # noqa: SLF001  # Keras shows calls in no public way
    fresh = body(keras.Input(tuple(given.shape[1:])), prefix)._keras_history.operation  # noqa: SLF001  # as above
    folder.mkdir(parents=True, exist_ok=True)
    fresh.save(folder / f"{variable}.keras")
    call = Call("keras.saving.load_model", (Raw(f'HERE / "{variable}.keras"'),), {"compile": False})
    taken = f"All of {Path(body.path).name} before its head" if body.until is None else f"{Path(body.path).name}"
    said = f"{taken}{'' if body.until is None else f', up to the layer {body.until}'}, as it was before this training."
    return Nested(call, tuple(_frozen(body, network)), said, variable)


def _followed(network: Any) -> Iterator[str]:
    """The lines that say how slowly the moving statistics follow."""
    momenta = [layer.momentum for layer in leaves(network) if isinstance(layer, keras.layers.BatchNormalization)]
    if momenta:
        yield "for layer in NAME.layers:  # Keras's own momentum needs thousands of steps"
        yield "    if isinstance(layer, layers.BatchNormalization):"
        yield f"        layer.momentum = {momenta[0]:g}"


def _frozen(body: Any, network: Any) -> Iterator[str]:
    """The lines that freeze a network."""
    if not body.frozen:
        if isinstance(body, Pretrained):
            yield "NAME.trainable = True"
        elif body.batchnorm_momentum is not None:
            yield from _followed(network)
        return
    layers = list(leaves(network))
    inner = any(isinstance(layer, keras.Model) for layer in network.layers)
    every = "list(leaves(NAME))" if inner else "NAME.layers"
    if body.unfreeze_last:
        learning = f"layer in {every}[-{body.unfreeze_last}:]"
        yield f"for layer in {every}:  # the last {body.unfreeze_last} learn, but no batch normalisation"
        yield f"    learns = {learning}"
        yield "    layer.trainable = learns and not isinstance(layer, layers.BatchNormalization)"
    else:
        yield "NAME.trainable = False"
    if any(isinstance(layer, keras.layers.Dropout) for layer in layers):
        yield f"for layer in {every}:"
        yield "    if isinstance(layer, layers.Dropout):"
        yield "        layer.rate = 0.0  # training=False does not reach it while the rest learns"


def _precision(policy: str) -> tuple[str, ...]:
    return () if policy == "float32" else (f'keras.config.set_dtype_policy("{policy}")',)


def _explained(branches: list[str], answer: str) -> dict[str, str]:
    """Comments by what the name of a layer begins with."""
    groups = {
        "pixels$": "Pixels in the range that the network wants",
        "stem": "Stem",
        r"stage(\d+)": r"Stage \1",
        "pretrained": "What was trained before",
        "(?:vgg|resnet|mobilenet|MobileNet|efficientnet)": "The backbone",
        "(?:flatten|global_|dropout)": "Features as one vector",
        r"dense": "Dense layers",
    }
    of_branches = {
        f"{re.escape(name)}_{pattern}": f"Branch {name}: {said[0].lower() + said[1:]}"
        for name in branches
        for pattern, said in groups.items()
    }
    return {
        **of_branches,
        **groups,
        "join$": "The branches joined",
        "head$": answer.replace("\\", "/"),
        "amount$": "In its unit",
    }
