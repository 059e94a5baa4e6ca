"""Finding pretrained weights on this machine before anything is downloaded."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpsearch.blocks.backbones import Backbone
from hpsearch.declare import transformed
from hpsearch.errors import WeightsError
from hpsearch.recipe import Recipe

__all__ = ["impatient_downloads", "to_download", "with_local_weights"]


def with_local_weights(recipe: Recipe, input_side: int, folders: list[Path]) -> Recipe:
    """The recipe with the weights of its backbones as paths, where a file is found.

    ``"imagenet"`` is looked for under the name Keras gives the file; a path as it is, then in the folders.

    Args:
        recipe: A recipe without domains.
        input_side: Side of the images in pixels, where a backbone does not say its own.
        folders: Where to look.

    Raises:
        WeightsError: A path leads nowhere.
    """

    def change(part: Any) -> Any:
        return _located(part, input_side, folders) if isinstance(part, Backbone) else part

    return transformed(recipe, change)  # type: ignore[no-any-return]  # a recipe stays a recipe


def to_download(recipe: Recipe, input_side: int) -> list[str]:
    """The files of pretrained weights that Keras would have to fetch.

    Args:
        recipe: A recipe without domains, its local weights found.
        input_side: Side of the images in pixels, where a backbone does not say its own.
    """
    wanted: list[str] = []

    def look(part: Any) -> Any:
        if isinstance(part, Backbone) and part.weights == "imagenet":
            wanted.append(part.weights_file(part.input_size or input_side))
        return part

    transformed(recipe, look)
    return wanted


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
