"""The fields of a leaderboard, as ``--sort``, ``--where`` and ``--pareto`` call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from hpsearch.errors import InputError, did_you_mean
from hpsearch.metrics import METRICS, RECORDED
from hpsearch.results.leaderboard import FIELDS, Row, record
from hpsearch.study.trial import STATES, FailureKind

__all__ = ["Field", "Fields", "Value", "values"]

Value = str | float | bool | None


@dataclass(frozen=True)
class Field:
    """One field.

    Args:
        name: Its name, one of ``FIELDS`` or a metric that was recorded.
        kind: What it holds.
        better: 1 where more is better, -1 where less is, 0 where neither.
        words: The texts that it can hold; empty where they are not known.
    """

    name: str
    kind: Literal["number", "text", "flag"] = "number"
    better: int = 0
    words: tuple[str, ...] = ()


_TEXTS = ("study", "trial", "baseline", "device", "engine", "message", "recipe_hash")
_FLAGS = ("overfits", "interrupted")
_SCORES = ("validation", "validation_low", "validation_high", "train")
_COSTS = ("rank", "gap", "parameters", "flops", "memory", "epochs", "epochs_budget", "seconds")
_WORDS = {"state": (*STATES, "interrupted"), "failure": get_args(FailureKind)}
# What the columns of the screen are called, and what else comes to mind.
_ALIASES = {
    "val": "validation",
    "low": "validation_low",
    "high": "validation_high",
    "time": "seconds",
    "budget": "epochs_budget",
    "hash": "recipe_hash",
}
_SHOWN = ("low", "high", "time")
_IN_HISTORIES = (*RECORDED, "learning_rate")


class Fields:
    """The fields of the leaderboard of a study.

    Args:
        metric: The metric of its objective, such as ``val_accuracy``: another name of the validation score. Without
            ``val_`` it is one of the score on training images.
        maximize: Whether more of it is better.
        recorded: Gives the names of the metrics that histories hold; called only where one may be meant.
    """

    def __init__(self, metric: str, maximize: bool, recorded: Callable[[], Sequence[str]] = tuple) -> None:
        self._fields = {name: _field(name, maximize) for name in FIELDS}
        self._metric = metric
        self._histories = recorded
        self._aliases = {**_ALIASES, metric.removeprefix("val_"): "train", metric: "validation"}
        self.asked: dict[str, None] = {}
        """The metrics that were found in histories, and that rows must therefore hold, in the order of asking."""

    def get(self, name: str) -> Field | None:
        """A field by its name, a heading of the screen, or a metric; None where there is none."""
        lower = name.lower()
        found = self._fields.get(self._aliases.get(lower, lower))
        if found is None and lower in _IN_HISTORIES and lower in self._recorded:
            found = Field(lower, better=_direction(lower))
            self.asked[lower] = None
        return found

    @cached_property
    def _recorded(self) -> list[str]:
        """The metrics that histories hold and no other field does."""
        return [name for name in self._histories() if name in _IN_HISTORIES and name not in self._aliases]

    def find(self, name: str, asked: str) -> Field:
        """A field by its name.

        Args:
            name: The name.
            asked: Where it was asked for, such as ``--sort``.

        Raises:
            InputError: There is none; the sentence lists those that there are.
        """
        if (field := self.get(name)) is None:
            names = [*self.names, *self._recorded]
            allowed = ", ".join(names)
            if name.lower() in RECORDED:
                bare = name.lower().removeprefix("val_")
                raise InputError(
                    f'{asked} got {name!r}, which no trial recorded; metrics=["{bare}"] in a space records it. '
                    f"Allowed: {allowed}."
                )
            raise InputError(f"{asked} got {name!r}; allowed: {allowed}.{did_you_mean(name.lower(), names)}")
        return field

    @property
    def names(self) -> list[str]:
        """The names to choose from: what people see on the screen where that is another word."""
        shown = {name: alias for alias, name in self._aliases.items() if alias in _SHOWN or alias == self._metric}
        return [shown.get(name, name) for name in self._fields]


def _field(name: str, maximize: bool) -> Field:
    if name in _WORDS:
        return Field(name, "text", words=_WORDS[name])
    if name in _TEXTS or name in _FLAGS:
        return Field(name, "text" if name in _TEXTS else "flag")
    return Field(name, better=(1 if maximize else -1) if name in _SCORES else -1 if name in _COSTS else 0)


def _direction(metric: str) -> int:
    measure = METRICS.get(metric.removeprefix("val_"))
    return 0 if measure is None else 1 if measure.maximize else -1


def values(row: Row) -> Mapping[str, Value]:
    """What a row holds, by field; its state as the screen shows it, ``interrupted`` where nobody trains the trial."""
    found: dict[str, Value] = record(row)  # type: ignore[assignment]  # its values are plain
    return {**found, "state": "interrupted"} if row.interrupted else found
