"""What a coordinator and a reader need to know of a space, in plain values that travel between processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpsearch.addresses import Parameter, dimensions, size
from hpsearch.declare import source
from hpsearch.domains import Scalar
from hpsearch.recipe import recipe_hash
from hpsearch.resolve import from_answers, resolve
from hpsearch.space import Space

__all__ = ["BaselineSummary", "SpaceSummary", "describe"]


@dataclass(frozen=True)
class BaselineSummary:
    """A hand-made network.

    Args:
        name: Its name.
        recipe: The recipe as source.
        hash: The hash of its canonical form.
        choices: The parameters of the space with the answers that give it.
        epochs: The most epochs it is trained.
    """

    name: str
    recipe: str
    hash: str
    choices: tuple[tuple[Parameter, Scalar], ...]
    epochs: int


@dataclass(frozen=True)
class SpaceSummary:
    """A space without its objects.

    Args:
        text: What is searched, as source.
        fingerprint: Of what is searched.
        objective: Such as ``max val_accuracy``.
        data: The declaration of the data, as source.
        input_shape: Height, width and channels of the images.
        class_names: The classes.
        dimensions: How many choices there are at the most; those of a ``build(hp)`` not counted.
        size: How many different answers there are, or infinity.
        open_ended: Whether a ``build(hp)`` makes choices that only show when it runs.
        most_parameters: The limit on parameters, or None.
        baselines: The hand-made networks.
    """

    text: str
    fingerprint: str
    objective: str
    data: str
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    dimensions: int
    size: float
    open_ended: bool
    most_parameters: int | None
    baselines: tuple[BaselineSummary, ...]


def describe(space: Space) -> SpaceSummary:
    """Summarise a space.

    Args:
        space: A space, checked when it was made.
    """
    from hpsearch.recipe import HyperModel

    data = space.declaration
    return SpaceSummary(
        text=space.text,
        fingerprint=space.fingerprint,
        objective=space.objective,
        data=source(data),
        input_shape=data.input_shape,
        class_names=data.class_names,
        dimensions=dimensions(space.search),
        size=size(space.search),
        open_ended=isinstance(space.search.model, HyperModel),
        most_parameters=space.constraints.parameters if space.constraints else None,
        baselines=tuple(_baseline(space, name, recipe) for name, recipe in (space.baselines or {}).items()),
    )


def _baseline(space: Space, name: str, recipe: Any) -> BaselineSummary:
    answers = space.baseline_answers(name)
    choices: list[tuple[Parameter, Scalar]] = []
    look_up = from_answers(answers)

    def suggest(parameter: Parameter) -> Scalar:
        answer = look_up(parameter)
        choices.append((parameter, answer))
        return answer

    resolve(space.search, suggest)
    shape = space.declaration.input_shape
    return BaselineSummary(name, source(recipe), recipe_hash(recipe, shape), tuple(choices), recipe.training.epochs)
