"""Learning curves that `record.py` wrote: the score of each recipe after every epoch, and how long that took."""

from __future__ import annotations

import gzip
import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.addresses import Choices, Parameter
from hpsearch.domains import Between, Scalar
from hpsearch.resolve import from_answers, resolve
from hpsearch.spacefile import load_space

__all__ = ["Curve", "Curves", "Nearest", "read_curves", "write_curves"]


@dataclass(frozen=True)
class Curve:
    """One recipe, trained once.

    Args:
        choices: Its choices in the order in which they are asked for.
        scores: The objective after each epoch, as the metric counts it.
        seconds: How long each epoch took.
        overhead: Seconds around the epochs: building, measuring, the train score.
        name: Of a hand-made network or a start, else empty.
    """

    choices: tuple[tuple[Parameter, Scalar], ...]
    scores: tuple[float, ...]
    seconds: tuple[float, ...]
    overhead: float
    name: str = ""

    @property
    def total(self) -> float:
        """Seconds from begin to end."""
        return self.overhead + sum(self.seconds)


@dataclass(frozen=True)
class Curves:
    """What was recorded of a space.

    Args:
        name: Of the space.
        tree: The recipe with domains.
        maximize: Whether more is better.
        epochs: The most epochs of a trial.
        curves: The recipes.
    """

    name: str
    tree: Any
    maximize: bool
    epochs: int
    curves: tuple[Curve, ...]

    @property
    def best(self) -> float:
        """The best score of all."""
        return (max if self.maximize else min)(score for curve in self.curves for score in curve.scores)


def write_curves(path: Path, said: Mapping[str, Any]) -> None:
    """Write what was recorded, compressed and the same for the same content.

    Args:
        path: Ends in ``.json.gz``.
        said: ``space`` (the text of its file), ``name``, ``maximize``, ``epochs``, ``trials``, and how they were made.
    """
    text = json.dumps(said, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def read_curves(path: Path) -> Curves:
    """Read what `write_curves` wrote.

    Args:
        path: The file.
    """
    said = json.loads(gzip.decompress(path.read_bytes()))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{said['name']}.py"
        file.write_text(said["space"], encoding="utf-8")
        tree = load_space(file).search
    curves = tuple(_curve(tree, each) for each in said["trials"] if each["scores"])
    return Curves(said["name"], tree, said["maximize"], said["epochs"], curves)


def _curve(tree: Any, said: Mapping[str, Any]) -> Curve:
    choices: list[tuple[Parameter, Scalar]] = []
    known = from_answers(said["answers"])

    def suggest(parameter: Parameter) -> Scalar:
        value = known(parameter)
        choices.append((parameter, value))
        return value

    resolve(tree, suggest)
    scores = tuple(math.nan if score is None else float(score) for score in said["scores"])
    return Curve(tuple(choices), scores, tuple(said["seconds"]), float(said["overhead"]), said.get("name", ""))


class Nearest:
    """Finds the recorded recipe that comes nearest to a proposal.

    Numbers are compared by their place in their range, options by being the same; a choice that only one of two has
    counts as half of a different one.

    Args:
        curves: The recipes.
    """

    def __init__(self, curves: Curves) -> None:
        self._places: dict[str, int] = {}
        self._plain: list[bool] = []
        self._labels: dict[str, dict[Any, float]] = {}
        rows = [dict(self._row(curve.choices)) for curve in curves.curves]
        self._table = np.full((len(rows), len(self._places)), np.nan)
        for at, row in enumerate(rows):
            self._table[at, list(row)] = list(row.values())

    def __call__(self, choices: list[tuple[Parameter, Scalar]], used: np.ndarray) -> int:
        """The place of the nearest recipe that was not used.

        Args:
            choices: What was proposed.
            used: Which recipes were used, bool (n,).
        """
        mine = np.full(len(self._places), np.nan)
        for place, value in self._row(choices):
            if place < len(mine):
                mine[place] = value
        apart = np.abs(self._table - mine)
        apart = np.where(np.array(self._plain)[: len(mine)], (apart > 0).astype(float), apart)
        one = np.isnan(self._table) != np.isnan(mine)
        both_missing = np.isnan(self._table) & np.isnan(mine)
        apart = np.where(both_missing, 0.0, np.where(one, 0.5, apart))
        total = np.where(used, np.inf, (apart**2).sum(axis=1))
        return int(total.argmin())

    def _row(self, choices: Any) -> list[tuple[int, float]]:
        row = []
        for parameter, value in choices:
            if parameter.name not in self._places:
                self._places[parameter.name] = len(self._places)
                self._plain.append(isinstance(parameter.domain, Choices) and not parameter.domain.ordinal)
            row.append((self._places[parameter.name], self._value(parameter, value)))
        return row

    def _value(self, parameter: Parameter, value: Any) -> float:
        domain = parameter.domain
        if isinstance(domain, Between):
            low, high, at = float(domain.low), float(domain.high), float(value)
            if domain.log:
                low, high, at = math.log(low), math.log(high), math.log(at)
            return (at - low) / (high - low) if high > low else 0.0
        if domain.ordinal:
            return domain.labels.index(value) / max(len(domain.labels) - 1, 1)
        labels = self._labels.setdefault(parameter.name, {})
        return labels.setdefault((type(value).__name__, value), float(len(labels)))
