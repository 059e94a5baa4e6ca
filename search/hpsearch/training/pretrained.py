"""Finding pretrained weights on this machine before anything is downloaded."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from hpsearch.blocks.backbones import Backbone
from hpsearch.blocks.concat import Branch, Concat
from hpsearch.blocks.pretrained import Pretrained
from hpsearch.blocks.reading import read_by
from hpsearch.blocks.tiled import shape_read
from hpsearch.declare import transformed
from hpsearch.errors import ModelError, WeightsError
from hpsearch.recipe import Model, Recipe
from hpsearch.training.inputs import Inputs

__all__ = ["impatient_downloads", "local_files", "to_download", "with_local_weights"]

_Part = TypeVar("_Part", Recipe, Branch)


def with_local_weights(recipe: Recipe, inputs: Inputs, folders: list[Path]) -> Recipe:
    """The recipe with the weights of its backbones as paths, where a file is found.

    ``"imagenet"`` is looked for under the name Keras gives the file; a path as it is, then in the folders.

    Args:
        recipe: A recipe without domains.
        inputs: What the network is built for; the size of what a backbone reads counts where it does not say its own.
        folders: Where to look.

    Raises:
        WeightsError: A path leads nowhere.
    """

    def change(backbone: Backbone, side: int) -> Backbone:
        return _located(backbone, side, folders)

    return _with_backbones(recipe, inputs, change)


def to_download(recipe: Recipe, inputs: Inputs) -> list[str]:
    """The files of pretrained weights that Keras would have to fetch.

    Args:
        recipe: A recipe without domains, its local weights found.
        inputs: As for `with_local_weights`.
    """
    wanted: list[str] = []

    def look(backbone: Backbone, side: int) -> Backbone:
        if backbone.weights == "imagenet":
            wanted.append(backbone.weights_file(backbone.input_size or side))
        return backbone

    _with_backbones(recipe, inputs, look)
    return wanted


def local_files(recipe: Recipe) -> list[str]:
    """The files of weights and the trained models that a recipe names, in their order.

    Args:
        recipe: A recipe without domains, its local weights found.
    """
    named: list[str] = []

    def look(part: Any) -> Any:
        if isinstance(part, Backbone) and part.weights not in (None, "imagenet"):
            named.append(str(part.weights))
        elif isinstance(part, Pretrained):
            named.append(part.path)
        return part

    transformed(recipe, look)
    return named


def _with_backbones(recipe: Recipe, inputs: Inputs, change: Callable[[Backbone, int], Backbone]) -> Recipe:
    """A recipe with each backbone as it is changed, which is told the side of the images that it reads."""
    model = recipe.model
    if isinstance(model, Model) and isinstance(model.body, Concat):
        read = {name: _changed(branch, change, _side(branch, name, inputs)) for name, branch in model.body.used}
        return replace(recipe, model=replace(model, body=Concat(**{**dict(model.body.branches), **read})))
    return _changed(recipe, change, _side(model, None, inputs))


def _changed(part: _Part, change: Callable[[Backbone, int], Backbone], side: int) -> _Part:
    def each(found: Any) -> Any:
        return change(found, side) if isinstance(found, Backbone) else found

    return transformed(part, each)  # type: ignore[no-any-return]  # it stays what it is


def _side(part: Any, name: str | None, inputs: Inputs) -> int:
    """The side in pixels of what a model or a branch reads; of the first image where that cannot be told."""
    try:
        shape = shape_read(read_by(getattr(part, "input", None), name, inputs.features), inputs.features)
    except ModelError:
        return inputs.shape[0]
    return shape[0] if len(shape) == 3 else inputs.shape[0]


def _located(backbone: Backbone, side: int, folders: list[Path]) -> Backbone:
    if backbone.weights is None:
        return backbone
    if backbone.weights == "imagenet":
        name = backbone.weights_file(backbone.input_size or side)
        keras_cache = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"
        found = _first(name, [*folders, keras_cache])
        return replace(backbone, weights=str(found)) if found else backbone
    found = _first(backbone.weights, [Path(), *folders])
    if found is None:
        looked = ", ".join(str(folder) for folder in [Path.cwd(), *folders])
        raise WeightsError(f"the weights {backbone.weights} are in none of {looked}; give the path of a .h5 file.")
    return replace(backbone, weights=str(found))


def _first(name: str, folders: list[Path]) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


@contextmanager
def impatient_downloads(seconds: float = 20.0) -> Iterator[None]:
    """Give up on a server that does not answer, so that a node without internet says so soon.

    Args:
        seconds: How long a connection may be silent.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
