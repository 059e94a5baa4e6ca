"""The trained files that a recipe takes: models as branches, weights of backbones."""

from __future__ import annotations

from typing import Any

from hpsearch.blocks.backbones import Backbone
from hpsearch.blocks.files import is_there
from hpsearch.blocks.pretrained import Pretrained
from hpsearch.declare import transformed

__all__ = ["missing_files", "takes_trained"]


def takes_trained(recipe: Any) -> bool:
    """Whether a recipe takes a trained model as a body.

    Args:
        recipe: A recipe without domains.
    """
    return any(isinstance(part, Pretrained) for part in _parts(recipe))


def missing_files(recipe: Any) -> tuple[str, ...]:
    """The trained models and files of weights that a recipe names and that are not there, each once.

    Weights that Keras would download are not among them.

    Args:
        recipe: A recipe without domains.
    """
    named = [_file_of(part) for part in _parts(recipe)]
    return tuple(name for name in dict.fromkeys(named) if name is not None and not is_there(name))


def _file_of(part: Any) -> str | None:
    if isinstance(part, Pretrained):
        return part.path
    return part.weights if isinstance(part, Backbone) and part.weights != "imagenet" else None


def _parts(recipe: Any) -> list[Any]:
    """Every declared object in a recipe."""
    found: list[Any] = []

    def look(part: Any) -> Any:
        found.append(part)
        return part

    transformed(recipe, look)
    return found
