"""A space: what is searched, on which data, by which objective, and the hand-made networks to beat."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpsearch.addresses import Parameter
from hpsearch.agreement import check_agreement, check_measurable
from hpsearch.check import check
from hpsearch.data import Data, check_declaration, named, with_classes
from hpsearch.declare import (
    Choice,
    Declared,
    Instance,
    Many,
    Maybe,
    Rule,
    Text,
    Whole,
    declared,
    option,
    problem_with,
    source,
)
from hpsearch.domains import Scalar, possible
from hpsearch.errors import SpaceError, join_address
from hpsearch.metrics import METRICS, objective_problem
from hpsearch.reads import check_reads
from hpsearch.recipe import HyperModel, Model, Recipe, code_of
from hpsearch.resolve import Answers, answers_of, differences, has_domains, resolve
from hpsearch.trained import takes_trained

__all__ = ["AtMost", "Objective", "Space", "at_most"]


_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b\s*", re.IGNORECASE)
_LEAST_MEMORY = 1_000_000


@dataclass(frozen=True)
class _Amount:
    """A whole number of one or more; ``3e8`` is one."""

    allowed: str = "a whole number of 1 or more, such as 300_000_000 or 3e8"

    def accepts(self, value: object) -> bool:
        return _whole(value) is not None and _whole(value) >= 1  # type: ignore[operator]  # None is excluded before


@dataclass(frozen=True)
class _Memory:
    """A size of memory, as text with its unit or in bytes."""

    allowed: str = 'a size of 1 MB or more, such as "12GB" (10^9 bytes each), "800 MB", "1.5GiB", or bytes'

    def accepts(self, value: object) -> bool:
        size = _bytes(value)
        return size is not None and size >= _LEAST_MEMORY


def _whole(value: object) -> int | None:
    """A whole number, written as one or with an exponent; None for anything else."""
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _bytes(value: object) -> int | None:
    """A size of memory in bytes; None for anything that is none."""
    if not isinstance(value, str):
        return _whole(value)
    found = _SIZE.fullmatch(value)
    if found is None:
        return None
    number, prefix, binary = found.groups()
    return round(float(number) * math.pow(1024 if binary else 1000, " kmgt".index(prefix.lower() or " ")))


@declared
class AtMost(Declared):
    """Limits that a network must keep; one that does not is rejected without training.

    Args:
        parameters: The most parameters, frozen ones included.
        flops: The most floating-point operations of one image forward, two for a multiplication with its addition.
        memory: The most memory while training at the recipe's batch size, as estimated: text with its unit, or bytes.
    """

    parameters: int | None = option(Maybe(Whole(1)), default=None)
    flops: int | None = option(Maybe(_Amount()), default=None)
    memory: str | int | None = option(Maybe(_Memory()), default=None)

    @property
    def memory_bytes(self) -> int | None:
        """The limit on memory in bytes; a kB is 1000 of them, a KiB 1024."""
        return _bytes(self.memory)

    def source_call(self) -> tuple[str, list[object], dict[str, object]]:
        """It prints as it is written."""
        return "at_most", [], {name: value for name, value in vars(self).items() if value is not None}


def at_most(*, parameters: int | None = None, flops: float | None = None, memory: str | float | None = None) -> AtMost:
    """Limits that a network must keep; one that does not is rejected without training.

    Args:
        parameters: The most parameters, frozen ones included.
        flops: The most floating-point operations of one image forward, two for a multiplication with its addition, so
            that 600 million are the 300 million multiply-adds of a MobileNetV2. A whole number; ``6e8`` is one.
        memory: The most memory that training may take at the recipe's batch size, as estimated before it begins:
            ``"12GB"`` (a GB is 10^9 bytes), ``"1.5GiB"``, or a number of bytes.
    """
    # A number that is whole is kept as one; what is nonsense is kept as it is, for the sentence about it.
    operations = _whole(flops)
    size = memory if isinstance(memory, str) else _whole(memory)
    return AtMost(
        parameters=parameters,
        flops=flops if operations is None else operations,  # type: ignore[arg-type]  # see above
        memory=memory if size is None else size,  # type: ignore[arg-type]  # see above
    )


@dataclass(frozen=True)
class Objective:
    """What is made large or small.

    Args:
        metric: The name of the metric in the history of a trial, such as ``val_accuracy``.
        maximize: Whether more is better.
    """

    metric: str
    maximize: bool

    @classmethod
    def parse(cls, text: str, classes: int | None = None) -> Objective:
        """Read ``"max val_accuracy"``.

        Args:
            text: As it was written.
            classes: How many classes the data has; 0 where it has amounts, None where that is not known.

        Raises:
            SpaceError: Another wording, an unknown metric or one that the data does not have, or the wrong direction.
        """
        if problem := objective_problem(text, classes):
            raise SpaceError(problem, "objective")
        direction, metric = text.split()
        return cls(metric=metric, maximize=direction == "max")

    def __str__(self) -> str:
        return f"{'max' if self.maximize else 'min'} {self.metric}"

    def better(self, left: float, right: float) -> bool:
        """Whether the left score beats the right one."""
        return left > right if self.maximize else left < right


_MOST_DIFFERENCES = 5
"""So many places are named at which a baseline leaves the space."""

_DATA = Instance((Data, str), "the name of a data set, ImageFolder(...), Table(...) or Arrays(...)")
_RECIPE = Instance((Recipe,), "Recipe(...)")
_BASELINES = Maybe(Instance((dict,), 'recipes by name, such as {"by_hand": Recipe(...)}'))
_MEASURED = Many(Choice(*METRICS))
_CONSTRAINTS = Maybe(Instance((AtMost,), 'at_most(parameters=..., flops=..., memory="12GB")'))


def _check_plain(value: Any, rule: Rule, name: str) -> None:
    """What belongs to the whole study is not searched."""
    if has_domains(value):
        raise SpaceError(f"got {source(value)}; it holds for the whole study, so write one plain value.", name)
    check(value, rule, name)


@declared
class Space(Declared):
    """A space file's one object; it is checked when it is made.

    Args:
        data: A named data set such as ``"cifar10"``, or a declaration such as ``ImageFolder(...)``.
        search: The recipe with domains.
        baselines: Hand-made networks by name; each must be a point of the space. They are trained first and compared
            with what is found. One that takes a trained model, ``Pretrained(...)``, may lie beside the space: the
            search then learns nothing from it. While a file that it names is not there, it is left out of a run.
        objective: ``"max val_accuracy"``, ``"min val_loss"``, or another metric on validation: ``"max val_auc"``,
            ``"max val_f1"``, ``"max val_precision"``, ``"max val_recall"``; for amounts ``"min val_mae"``,
            ``"min val_rmse"``, ``"max val_r2"``.
        constraints: ``at_most(parameters=..., flops=..., memory="12GB")``, or None.
        metrics: What each epoch is measured by besides loss, accuracy and the objective: ``"auc"``, ``"f1"``,
            ``"precision"``, ``"recall"``. With two classes they are those of the second class, with more the mean over
            the classes. For amounts mae, rmse and r2 are always measured.

    Raises:
        SpaceError: Something is not allowed; the sentence says where, what it got and what is allowed.
    """

    data: Data | str = option(_DATA)
    search: Recipe = option(_RECIPE)
    baselines: Mapping[str, Recipe] | None = option(_BASELINES, default=None)
    objective: str = option(Text(), default="max val_accuracy")
    constraints: AtMost | None = option(_CONSTRAINTS, default=None)
    metrics: Sequence[str] = option(_MEASURED, default=())

    def __post_init__(self) -> None:
        for name, rule in (("data", _DATA), ("constraints", _CONSTRAINTS), ("metrics", _MEASURED)):
            _check_plain(getattr(self, name), rule, name)
        if problem := problem_with(self.baselines, _BASELINES):
            raise SpaceError(problem, "baselines")
        check(self.search, _RECIPE, "" if type(self.search) is Recipe else "search")
        data = named(self.data) if isinstance(self.data, str) else self.data
        check_declaration(data)
        object.__setattr__(self, "data", with_classes(data))
        check_measurable(self._classes, Objective.parse(self.objective, self._classes).metric, self.metrics)
        check_reads(self.search.model, self.declaration.shapes)
        self._check_heads(self.search, "")
        if self.baselines is not None:
            plain = {name: self._checked_baseline(name, recipe) for name, recipe in self.baselines.items()}
            object.__setattr__(self, "baselines", plain)

    def _checked_baseline(self, name: str, recipe: Any) -> Recipe:
        """A baseline as one network: ``repeat(Stage(filters=8), 3)`` is written out."""
        address = f"baselines[{name!r}]"
        if not isinstance(name, str) or not name.strip() or name.strip().isdigit():
            raise SpaceError(f"got the name {name!r}; allowed: a text that is not a number.", "baselines")
        check(recipe, _RECIPE, address)

        def refuse(_: Parameter) -> Scalar:
            raise SpaceError("holds a domain; a baseline is one network, so write plain values.", address)

        network: Recipe = resolve(recipe, refuse)
        check_reads(network.model, self.declaration.shapes, f"{address}.model")
        self._check_heads(network, address)
        try:
            answers_of(self.search, network)
        except SpaceError as error:
            if not takes_trained(network):
                raise self._outside(network, address, error) from None
        return network

    def _outside(self, network: Recipe, address: str, error: SpaceError) -> SpaceError:
        """The sentences about a baseline that is no point of the space."""
        first, *others = differences(self.search, network, _MOST_DIFFERENCES + 1) or [error]
        said = [first.problem, *(f"Also {other.address}: {other.problem}" for other in others)]
        if len(said) > _MOST_DIFFERENCES:
            said[_MOST_DIFFERENCES:] = ["There are more."]
        said.append("A baseline must be a point of the space.")
        return SpaceError(" ".join(said), join_address(address, first.address))

    def _check_heads(self, recipe: Recipe, address: str) -> None:
        """A sigmoid head has one unit, which can tell two classes apart and no more."""
        check_agreement(recipe, self._classes, Objective.parse(self.objective).metric, address)
        models = [model for model in possible(recipe.model) if isinstance(model, Model)]
        names = self.declaration.class_names
        if any("sigmoid" in possible(model.head) for model in models) and len(names) != 2:
            raise SpaceError(
                f'got "sigmoid" for {len(names)} classes, {", ".join(names[:10])}{", ..." if len(names) > 10 else ""}; '
                'it tells two apart: write "softmax", or leave classes out.',
                join_address(address, "model.head"),
            )

    @property
    def _classes(self) -> int:
        """How many classes the data has; 0 where it has amounts."""
        return len(self.declaration.class_names)

    @property
    def declaration(self) -> Data:
        """The data as declared."""
        assert isinstance(self.data, Data)  # __post_init__ turned the name into a declaration
        return self.data

    def baseline_answers(self, name: str) -> Answers:
        """The answers that give a baseline.

        Args:
            name: The name of the baseline.

        Raises:
            SpaceError: It lies beside the space, as one that takes a trained model may.
        """
        return answers_of(self.search, (self.baselines or {})[name])

    def lies_beside(self, name: str) -> bool:
        """Whether a baseline is no point of the space.

        Args:
            name: The name of the baseline.
        """
        try:
            self.baseline_answers(name)
        except SpaceError:
            return True
        return False

    @property
    def text(self) -> str:
        """What is searched, as source: the recipe with its domains, the data, the objective, the limits."""
        said: dict[str, Any] = {
            "data": self.data,
            "search": self.search,
            "objective": self.objective,
            "constraints": self.constraints,
        }
        if self.metrics:
            said["metrics"] = self.metrics
        return "\n".join(f"{name} = {source(value, before=len(name) + 3)}" for name, value in said.items()) + "\n"

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of what is searched; comments and baselines do not count."""
        text = self.text
        for model in possible(self.search.model):
            if isinstance(model, HyperModel):
                text += code_of(model.build)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
