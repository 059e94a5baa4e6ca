"""Which rows of a leaderboard are shown, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hpsearch.errors import InputError
from hpsearch.results.fields import Field, Fields, Value, values
from hpsearch.results.leaderboard import Row
from hpsearch.results.pareto import front
from hpsearch.results.where import where

__all__ = ["Selection"]


@dataclass(frozen=True)
class Selection:
    """What is asked of a leaderboard; nothing asked is all rows in the order of their ranks.

    Args:
        fits: Whether a row is wanted, or None.
        pareto: Of which fields the front is wanted, each with a direction; empty for none.
        sort: By which field the rows are sorted, or None.
        largest_first: Whether that field's largest values come first.
        metrics: The metrics of histories that rows must hold for all this.
    """

    fits: Callable[[Row], bool] | None = None
    pareto: tuple[Field, ...] = ()
    sort: Field | None = None
    largest_first: bool = False
    metrics: tuple[str, ...] = ()

    @classmethod
    def read(
        cls, fields: Fields, condition: str | None = None, pareto: str | None = None, sort: str | None = None
    ) -> Selection:
        """Read it from the command line.

        Args:
            fields: The fields of the leaderboard.
            condition: As ``--where`` says it.
            pareto: As ``--pareto`` says it: two or more fields, with commas.
            sort: As ``--sort`` says it: a field, whose best values come first; ``-field`` has the largest first,
                ``+field`` the smallest.

        Raises:
            InputError: One cannot be read.
        """
        field, largest_first = _sorted_by(sort, fields) if sort is not None else (None, False)
        fits = where(condition, fields) if condition is not None else None
        pareto_of = _front_of(pareto, fields) if pareto is not None else ()
        return cls(fits, pareto_of, field, largest_first, tuple(fields.asked))

    def of(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that are wanted: those that fit, of these the front, sorted.

        Args:
            rows: In the order of their ranks, which stays among equal ones.
        """
        kept = [row for row in rows if self.fits is None or self.fits(row)]
        if self.pareto:
            points = [[_number(values(row)[field.name]) for field in self.pareto] for row in kept]
            kept = [kept[place] for place in front(points, [field.better for field in self.pareto])]
        if self.sort is None:
            return kept
        name = self.sort.name
        keyed = [(values(row)[name], row) for row in kept]
        known = [(_key(value), row) for value, row in keyed if value is not None]
        known.sort(key=lambda pair: pair[0], reverse=self.largest_first)  # what is not known comes last
        return [row for _, row in known] + [row for value, row in keyed if value is None]


def _key(value: Value) -> tuple[float, str]:
    return (0.0, value) if isinstance(value, str) else (float(value or 0), "")


def _number(value: Value) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)


def _sorted_by(text: str, fields: Fields) -> tuple[Field, bool]:
    field = fields.find(text.lstrip("+-") if text[:1] in "+-" else text, "--sort")
    return field, text.startswith("-") or (field.better > 0 and not text.startswith("+"))


def _front_of(text: str, fields: Fields) -> tuple[Field, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    found = tuple(dict.fromkeys(fields.find(name, "--pareto") for name in names))
    if len(found) < 2:
        raise InputError(f"--pareto got {text!r}; allowed: two fields or more, such as val_accuracy,parameters.")
    for field in found:
        if not field.better:
            raise InputError(
                f"--pareto got {field.name!r}, of which neither more nor less is better; allowed: "
                f"{', '.join(name for name in fields.names if fields.find(name, '').better)}."
            )
    return found
