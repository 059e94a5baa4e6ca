"""What a coordinator and a reader need to know of a space, in plain values that travel between processes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from hpsearch.addresses import Parameter, dimensions, inside, size
from hpsearch.declare import is_declared, source, walk_fields
from hpsearch.domains import Between, OneOf, Repeat, Scalar, Tied
from hpsearch.errors import join_address
from hpsearch.phases import FineTune
from hpsearch.recipe import HyperModel, Training, recipe_hash
from hpsearch.resolve import from_answers, resolve
from hpsearch.space import Space
from hpsearch.trained import missing_files

__all__ = ["BaselineSummary", "LeftOut", "SpaceSummary", "describe"]


@dataclass(frozen=True)
class BaselineSummary:
    """A hand-made network.

    Args:
        name: Its name.
        recipe: The recipe as source.
        hash: The hash of its canonical form.
        choices: The parameters of the space with the answers that give it.
        epochs: The most epochs it is trained.
        beside: Whether it is no point of the space, so that the search learns nothing from it.
    """

    name: str
    recipe: str
    hash: str
    choices: tuple[tuple[Parameter, Scalar], ...]
    epochs: int
    beside: bool = False


@dataclass(frozen=True)
class LeftOut:
    """A hand-made network that cannot be trained yet.

    Args:
        name: Its name.
        files: The trained models and weights that it takes and that are not there.
        trials: Which trial each of them is, as far as its name says so: that of a hand-made network; else empty.
    """

    name: str
    files: tuple[str, ...]
    trials: tuple[str, ...]

    def sentence(self, folder: Path | None = None, options: str = "") -> str:
        """Which files are missing, and what to do.

        Args:
            folder: Where data and trained models are looked for first.
            options: What is added to the command that makes one, such as `` --study houses``.
        """
        one = len(self.files) == 1
        said = f"Baseline {self.name} is left out: {' and '.join(self.files)} {'is' if one else 'are'} not there."
        commands = [
            f"hpsearch save {trial or 'TRIAL'} {file if folder is None else folder / file}{options}"
            for file, trial in zip(self.files, self.trials, strict=True)
            if file.endswith(".keras")
        ]
        if not commands:
            return f"{said} Put {'it' if one else 'them'} into the data directory or beside the space file."
        return f"{said} Make {'it' if one else 'them'} with: {'; '.join(commands)}"


@dataclass(frozen=True)
class SpaceSummary:
    """A space without its objects.

    Args:
        text: What is searched, as source.
        fingerprint: Of what is searched.
        objective: Such as ``max val_accuracy``.
        data: The declaration of the data, as source.
        inputs: The shape of each input by name: height, width and channels of images, the width of a table, or None
            where its file decides.
        class_names: The classes; none where amounts are told.
        dimensions: How many choices there are at the most; those of a ``build(hp)`` not counted.
        size: How many different answers there are, or infinity.
        open_ended: Whether a ``build(hp)`` makes choices that only show when it runs.
        continuous: The name of a choice with infinitely many values; empty where there is none.
        most_epochs: The most epochs that a recipe of the space may be trained.
        most_parameters: The limit on parameters, or None.
        most_flops: The limit on floating-point operations for one image, or None.
        most_memory: The limit on memory while training, in bytes, or None.
        baselines: The hand-made networks; without those that are left out.
        left_out: Those that take a trained file which is not there.
    """

    text: str
    fingerprint: str
    objective: str
    data: str
    inputs: dict[str, tuple[int | None, ...]]
    class_names: tuple[str, ...]
    dimensions: int
    size: float
    open_ended: bool
    continuous: str
    most_epochs: int
    most_parameters: int | None
    most_flops: int | None
    most_memory: int | None
    baselines: tuple[BaselineSummary, ...]
    left_out: tuple[LeftOut, ...] = ()


def describe(space: Space) -> SpaceSummary:
    """Summarise a space.

    Args:
        space: A space, checked when it was made.
    """
    data = space.declaration
    left_out = _left_out(space)
    absent = {one.name for one in left_out}
    return SpaceSummary(
        text=space.text,
        fingerprint=space.fingerprint,
        objective=space.objective,
        data=source(data),
        inputs=dict(data.inputs),
        class_names=data.class_names,
        dimensions=dimensions(space.search),
        size=size(space.search),
        open_ended=isinstance(space.search.model, HyperModel),
        continuous=_continuous(space.search, ""),
        most_epochs=_most_epochs(space.search.training),
        most_parameters=_limit(space, "parameters"),
        most_flops=_limit(space, "flops"),
        most_memory=_limit(space, "memory_bytes"),
        baselines=tuple(
            _baseline(space, name, recipe) for name, recipe in (space.baselines or {}).items() if name not in absent
        ),
        left_out=left_out,
    )


def _left_out(space: Space) -> tuple[LeftOut, ...]:
    """The hand-made networks that take a file which is not there now."""
    baselines = space.baselines or {}
    missing = {name: missing_files(recipe) for name, recipe in baselines.items()}
    stems = {name: tuple(PurePath(file).stem for file in files) for name, files in missing.items() if files}
    return tuple(
        LeftOut(name, missing[name], tuple(stem if stem in baselines else "" for stem in each))
        for name, each in stems.items()
    )


def _limit(space: Space, name: str) -> int | None:
    limit: int | None = getattr(space.constraints, name, None)
    return limit


def _continuous(tree: Any, address: str) -> str:
    """The first choice with infinitely many values; empty where there is none."""
    if isinstance(tree, Between):
        return address if math.isinf(tree.count) else ""
    if isinstance(tree, Tied):
        parts = [(tree.domain, f"tied.{tree.name}")]
    elif isinstance(tree, OneOf):
        parts = [(option, inside(tree, label, address)) for label, option in tree.items()]
    elif isinstance(tree, Repeat):
        parts = [(tree.count, address), (tree.element, f"{address}[0]")]
    elif isinstance(tree, tuple | list):
        parts = [(part, f"{address}[{index}]") for index, part in enumerate(tree)]
    elif is_declared(tree):
        parts = [(part, join_address(address, name)) for name, part, _ in walk_fields(tree)]
    else:
        parts = []
    return next(filter(None, (_continuous(part, at) for part, at in parts)), "")


def _most_epochs(tree: Any) -> int:
    """The largest number of epochs in a training, or in the number itself, with domains in it."""
    if isinstance(tree, Tied):
        return _most_epochs(tree.domain)
    if isinstance(tree, OneOf):
        return max(_most_epochs(option) for option in tree.options)
    if isinstance(tree, Between):
        return int(tree.snapped(tree.high))
    if tree is None:
        return 0
    if isinstance(tree, Training):
        return _most_epochs(tree.epochs) + _most_epochs(tree.fine_tune)
    return _most_epochs(tree.epochs) if isinstance(tree, FineTune) else int(tree)


def _baseline(space: Space, name: str, recipe: Any) -> BaselineSummary:
    shapes = space.declaration.shapes
    about = name, source(recipe), recipe_hash(recipe, shapes)
    if space.lies_beside(name):
        return BaselineSummary(*about, (), recipe.epochs, beside=True)
    answers = space.baseline_answers(name)
    choices: list[tuple[Parameter, Scalar]] = []
    look_up = from_answers(answers)

    def suggest(parameter: Parameter) -> Scalar:
        answer = look_up(parameter)
        choices.append((parameter, answer))
        return answer

    resolve(space.search, suggest)
    return BaselineSummary(*about, tuple(choices), recipe.epochs)
