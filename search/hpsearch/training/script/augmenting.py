"""The lines of a script that change images at random while the network is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hpsearch.blocks.augment import Augment
from hpsearch.declare import source
from hpsearch.training.build import Built
from hpsearch.training.inputs import Inputs
from hpsearch.training.script.calls import Call, Raw, call_of
from hpsearch.training.script.classes import ALTERNATING, MIXED
from hpsearch.training.script.network import statement

__all__ = ["augmented_lines", "augmenting_classes", "changes", "images_of"]


def images_of(built: Built) -> list[str]:
    """The inputs of a network that are images.

    Args:
        built: The network and its recipe.
    """
    return [entry.name for entry in built.network.inputs if len(entry.shape) == 4]


def changes(built: Built) -> bool:
    """Whether images are changed while a network is trained.

    Args:
        built: The network and its recipe.
    """
    augment = built.recipe.training.augment
    return augment is not None and augment.each_time and bool(images_of(built))


def augmenting_classes(built: Built) -> Iterator[str]:
    """The classes that these lines need above them.

    Args:
        built: The network and its recipe.
    """
    augment = built.recipe.training.augment
    if augment is None or not changes(built):
        return
    if augment.flip == "alternating":
        yield ALTERNATING
    if augment.mixes:
        yield MIXED


def augmented_lines(built: Built, inputs: Inputs) -> list[str]:
    """The lines that put random changes before the network, as ``trainer``, or make changed copies of the images.

    Args:
        built: The network and its recipe.
        inputs: What it was built for.
    """
    augment, images = built.recipe.training.augment, images_of(built)
    if augment is None or not augment.active or not images:
        return []
    given = [entry.name for entry in built.network.inputs]
    lines = _copies(augment, inputs, given, images) if augment.copies else _anew(augment, inputs, given, images)
    return ["    # Images that are changed at random; the network itself never sees these layers", *lines]


def _copies(augment: Augment, inputs: Inputs, given: Sequence[str], images: Sequence[str]) -> Iterator[str]:
    """Each image as changed copies of it."""
    yield statement("augment", _layers(augment, inputs), "")
    yield f"    # {augment.copies} changed copies of each image, drawn once"
    if len(given) == 1:
        yield f"    x = np.concatenate([changed(augment, x) for _ in range({augment.copies})])"
    else:
        yield "    x = {"
        for name in given:
            each = f"x[{source(name)}]"
            made_of = f"changed(augment, {each})" if name in images else each
            yield f"        {source(name)}: np.concatenate([{made_of} for _ in range({augment.copies})]),"
        yield "    }"
    yield f"    y = np.concatenate([y] * {augment.copies})"


def _anew(augment: Augment, inputs: Inputs, given: Sequence[str], images: Sequence[str]) -> Iterator[str]:
    """Images that are changed in every epoch, before the network."""
    layers = _layers(augment, inputs)
    if layers.args[0]:
        yield statement("augment", layers, "")
    if len(given) == 1:
        seen = "augment(inputs)" if layers.args[0] else "inputs"
        if augment.mixes:
            yield statement("mixing", Call("Mixing", (augment.mixup, augment.cutmix)), "")
            seen = f"mixing({seen})"
        yield "    inputs = keras.Input(model.input_shape[1:])"
        yield f"    trainer = {'Mixed' if augment.mixes else 'keras.Model'}(inputs, model({seen}))"
        return
    yield "    inputs = {given.name: keras.Input(given.shape[1:], name=given.name) for given in model.inputs}"
    yield f"    seen = {{name: augment(given) for name, given in inputs.items() if name in {source(tuple(images))}}}"
    yield "    trainer = keras.Model(inputs, model({**inputs, **seen}))"


def _layers(augment: Augment, inputs: Inputs) -> Call:
    made = [call_of(layer, {}) for layer in augment.build(inputs.white, 0)]
    if augment.flip == "alternating":
        made = [Call("Alternating", (Raw("len(y)"), inputs.white)), *made]
    return Call("keras.Sequential", (made,))
