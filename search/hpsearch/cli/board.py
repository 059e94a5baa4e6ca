"""The leaderboard in words: which columns there are, what stands below them, and Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hpsearch.cli.output import (
    Cell,
    Column,
    amount,
    count,
    duration,
    on_terminal,
    one_line,
    say,
    score,
    signed,
    table,
    tell,
)
from hpsearch.results.board import Board, of_objective
from hpsearch.results.fields import Field
from hpsearch.results.intervals import Bounds
from hpsearch.results.leaderboard import Row, counts, summary
from hpsearch.results.selection import Selection
from hpsearch.study import Trial

__all__ = ["TOP_ON_TERMINAL", "Screen", "between"]

TOP_ON_TERMINAL = 20
MOST_NAMED = 6

_STYLES = {"COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red", "RUNNING": "cyan"}

# The first to go where the terminal is narrow stands at 1: how good a trial is comes before what it cost.
_COLUMNS = (
    Column("rank", right=True),
    Column("study", wraps=True),
    Column("trial", wraps=True),
    Column("val", right=True),
    Column("interval", right=True, drop=6),
    Column("train", right=True),
    Column("gap", right=True),
    Column("", drop=2),
    Column("parameters", right=True, drop=5),
    Column("FLOPs", right=True, drop=1),
    Column("epochs", right=True, drop=4),
    Column("time", right=True, drop=3),
    Column("state", wraps=True),
)
_ASKED_FOR = 8
"""Before this column stand the metrics that were asked for."""


class Screen:
    """The leaderboard in words.

    Args:
        objective: What was searched for, such as ``max val_accuracy``.
        study: The name of the study.
        selection: What is wanted of it.
        condition: The same condition as it was written, or None.
        top: How many rows there are at the most; None for all, or on a terminal for those that are looked at.
    """

    def __init__(
        self, objective: str, study: str, selection: Selection, condition: str | None = None, top: int | None = None
    ) -> None:
        self.objective = objective
        self.study = study
        self.selection = selection
        self.condition = condition
        self.top = top

    def show(self, found: Board, *, markdown: bool = False) -> None:
        """Print it.

        Args:
            found: The ranking.
            markdown: Whether in Markdown, which is never cut to the width of a terminal.
        """
        wanted = self.selection.of(found.rows)
        shown = wanted[: self.top or (TOP_ON_TERMINAL if on_terminal() and not markdown else None)]
        write = say if markdown else tell
        write(self.headline(found))
        if not found.rows:
            return
        if shown:
            say()
            columns, cells = self.cells(found, shown)
            if markdown:
                say(_markdown(columns, cells))
            else:
                table(columns, cells)
        if footnotes := self.footnotes(found, wanted, shown):
            # In Markdown every footnote is a line of a list, or they would run into one another.
            write("\n" + "\n".join(f"- {_escaped(note)}" if markdown else note for note in footnotes))

    def headline(self, found: Board) -> str:
        """``digits: max val_accuracy, 57 trials (40 complete)``; the others are counted below the table."""
        rows = found.rows
        if not rows:
            return f"{self.study}: {self.objective}, no trials yet"
        complete = counts(rows).get("COMPLETE", 0)
        trials = f"{len(rows):,} {'trial' if len(rows) == 1 else 'trials'}"
        names = list(dict.fromkeys([self.study, *(row.study for row in rows)]))
        return f"{' and '.join(names)}: {self.objective}, {trials} ({complete:,} complete)"

    def cells(self, found: Board, shown: Sequence[Row]) -> tuple[list[Column], list[list[Cell]]]:
        """The columns that say anything, and the cells of the rows."""
        several = any(row.study != self.study for row in found.rows)
        without = {
            *(() if several else ("study",)),
            *(() if any(row.bounds for row in found.rows) else ("interval",)),
            *(() if any(row.overfits for row in shown) else ("",)),
        }
        columns = list(_COLUMNS)
        columns[_ASKED_FOR:_ASKED_FOR] = [Column(name, right=True) for name in self.selection.metrics]
        places = [place for place, column in enumerate(columns) if column.title not in without]
        rows = [_cells(row) for row in shown]
        return [columns[place] for place in places], [[row[place] for place in places] for row in rows]

    def footnotes(self, found: Board, wanted: Sequence[Row], shown: Sequence[Row]) -> list[str]:
        """What is to be said below the table."""
        rows = found.rows
        notes = []
        if any(row.trial.baseline for row in shown):
            notes.append("* baseline")
        if said := self._selected(rows, wanted):
            notes.append(said)
        if len(shown) < len(wanted):
            notes.append(f"{len(shown):,} of {len(wanted):,} trials; all of them: --top {len(wanted)}")
        if over := [row for row in shown if row.overfits]:
            notes.append(f"overfits, far better on what it was trained on: {_named(over)}")
        if others := [words for label, words in summary(counts(rows)) if label != "COMPLETE"]:
            notes.append("; ".join(others))
        if any(row.interrupted for row in rows):
            notes.append(
                "interrupted: goes on from its checkpoint with the same hpsearch run; its score is that so far"
            )
        return [*notes, *found.left_out]

    def _selected(self, rows: Sequence[Row], wanted: Sequence[Row]) -> str:
        """What was selected, in words."""
        said = []
        if self.condition is not None:
            said.append(f"where {one_line(self.condition)}")
        if self.selection.pareto:
            fields = _and(self.selection.pareto, self.objective)
            said.append(f"none surpasses them in {fields}")
        return f"{len(wanted):,} of {len(rows):,} trials: {'; '.join(said)}" if said else ""


def _and(fields: Sequence[Field], objective: str) -> str:
    """``val_accuracy (more is better) and parameters (less is better)``."""
    metric, _ = of_objective(objective)
    named = [
        f"{metric if field.name == 'validation' else field.name} ({'more' if field.better > 0 else 'less'} is better)"
        for field in fields
    ]
    return f"{', '.join(named[:-1])} and {named[-1]}"


def _named(rows: Sequence[Row]) -> str:
    """``3, by_hand and 2 more``."""
    names = [one_line(row.trial.name) for row in rows]
    more = len(names) - MOST_NAMED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:MOST_NAMED])} and {more} more"


def _cells(row: Row) -> list[Cell]:
    trial = row.trial
    base = "bold" if row.rank == 1 else "dim" if row.rank is None else ""
    texts = (
        str(row.rank) if row.rank else "-",
        one_line(row.study),
        _marked(trial),
        score(row.validation),
        between(row.bounds),
        score(row.train),
        signed(row.gap),
    )
    costs = (count(trial.parameters), _short_amount(trial.flops), _epochs(trial), duration(trial.seconds))
    return [
        *(Cell(text, base) for text in texts),
        Cell("overfits" if row.overfits else "", "yellow"),
        *(Cell(score(value), base) for value in row.metrics.values()),
        *(Cell(text, base) for text in costs),
        Cell(row.outcome, _STYLES[trial.state]),
    ]


def _marked(trial: Trial) -> str:
    return f"{one_line(trial.baseline)} *" if trial.baseline else str(trial.number)


def _epochs(trial: Trial) -> str:
    return f"{trial.epochs}/{trial.epochs_budget}" if trial.epochs_budget else str(trial.epochs)


def between(bounds: Bounds | None) -> str:
    """``0.968-0.995``, or a dash where it is not known."""
    return f"{bounds[0]:.3f}-{bounds[1]:.3f}" if bounds else "-"


def _short_amount(value: int | None) -> str:
    """``12.3M``: as `amount`, in as few signs as a column needs."""
    said, _, unit = amount(value).partition(" ")
    return said + {"thousand": "k", "million": "M", "billion": "G", "trillion": "T"}.get(unit, "")


# ---- Markdown


def _markdown(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> str:
    head = [column.title for column in columns]
    rule = ["---:" if column.right else "---" for column in columns]
    body = [[_escaped(cell.text) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))


def _escaped(text: str) -> str:
    """A text as Markdown shows it; within words an underscore means nothing."""
    return re.sub(r"([\\`*\[\]<>|#!~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", text)
