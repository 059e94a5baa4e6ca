"""``hpsearch compare``. It needs neither Keras nor Optuna."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import click

from hpsearch.cli.board import between
from hpsearch.cli.output import (
    Cell,
    Column,
    amount,
    count,
    duration,
    one_line,
    results_option,
    say,
    score,
    signed,
    study_option,
    table,
    tell,
)
from hpsearch.cli.overlay import overlay
from hpsearch.cli.standing import Standing
from hpsearch.errors import StudyError
from hpsearch.results.board import disagreement, of_objective
from hpsearch.results.comparison import Apart, Declared, Difference, apart_by, diff, differences
from hpsearch.results.examples import examples
from hpsearch.results.leaderboard import Row, record
from hpsearch.study import Epoch, StudyInfo, open_study

__all__ = ["compare"]


@dataclass(frozen=True)
class _Side:
    """One of the two trials.

    Args:
        row: The trial with its place in its study.
        info: Its study.
        history: Its epochs.
    """

    row: Row
    info: StudyInfo
    history: Sequence[Epoch]

    @classmethod
    def of(cls, standing: Standing, name: str) -> _Side:
        row = standing.row(name)
        return cls(row, standing.info, standing.folder.trial(row.trial.number).history())


@click.command(
    epilog="\b\nExample:\n  hpsearch compare 12 by_hand\n  hpsearch compare 12 31 --study digits --with-study digits-2"
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@study_option
@click.option("--with-study", "other", metavar="NAME", help="The study that B is a trial of, if that is another.")
@results_option
@click.option("--diff", "as_diff", is_flag=True, help="The recipes as a unified diff, nothing else.")
@click.option("--json", "as_json", is_flag=True, help="One object with full precision, nothing else.")
def compare(a: str, b: str, study: str | None, other: str | None, results: Path, as_diff: bool, as_json: bool) -> None:
    """Set two trials side by side: what differs between their recipes, their scores, their curves.

    A and B are numbers or names of baselines, as the leaderboard lists them. Each was trained once, with one seed, and
    what that can tell is said with it.
    """
    first = Standing(open_study(results, study))
    second = Standing(open_study(results, other)) if other is not None else first
    one, two = _Side.of(first, a), _Side.of(second, b)
    names = _names(one, two)
    if as_diff:
        for side, name in zip((one, two), names, strict=True):
            if not side.row.trial.recipe:
                raise StudyError(f"Trial {name} ended before its recipe was known.")
        said = diff(one.row.trial.recipe, two.row.trial.recipe, names)
        if said:
            say(said)
        return
    metric, maximize = of_objective(one.info.objective)
    why = disagreement(one.info, two.info)
    found = differences(one.row.trial.recipe, two.row.trial.recipe, _declared)
    apart = None if why else apart_by(one.row, two.row, maximize)
    if as_json:
        say(json.dumps(_whole(one, two, found, apart, why), indent=2, allow_nan=False))
        return
    tell(f"{one.info.objective}: A is trial {names[0]}, B is trial {names[1]}")
    say()
    table([Column(""), Column("A", right=True), Column("B", right=True)], _facts(one, two, metric))
    tell("\n" + _verdict(one, two, apart, why))
    _say_differences(found)
    _say_curves(one, two, metric, why)


def _names(one: _Side, two: _Side) -> tuple[str, str]:
    several = one.info.name != two.info.name
    names = [f"{one_line(s.row.trial.name)}{f' of study {s.info.name}' if several else ''}" for s in (one, two)]
    return names[0], names[1]


# ---- what the recipes are written in


@cache
def _declared(name: str) -> Declared | None:
    """What a class of hpsearch takes; nothing is known of a user's own, whose file is not loaded for this."""
    import dataclasses

    import hpsearch
    from hpsearch.declare import source

    kind = getattr(hpsearch, name, None) if name in hpsearch.__all__ else None
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return None
    fields = [field for field in dataclasses.fields(kind) if field.init]
    defaults = {}
    for field in fields:
        if field.default is not dataclasses.MISSING:
            defaults[field.name] = source(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            defaults[field.name] = source(field.default_factory())
    return Declared(tuple(field.name for field in fields if not field.kw_only), defaults)


# ---- on the screen


def _facts(one: _Side, two: _Side, metric: str) -> list[list[Cell]]:
    lines = {
        "study": [one_line(side.info.name) for side in (one, two)] if one.info.name != two.info.name else [],
        "rank": [str(side.row.rank or "-") for side in (one, two)],
        metric: [score(side.row.validation) for side in (one, two)],
        "95 % interval": [between(side.row.bounds) for side in (one, two)],
        "on training": [score(side.row.train) for side in (one, two)],
        "gap": [f"{signed(side.row.gap)}{' overfits' if side.row.overfits else ''}" for side in (one, two)],
        "parameters": [count(side.row.trial.parameters) for side in (one, two)],
        "FLOPs": [amount(side.row.trial.flops) for side in (one, two)],
        "best epoch": [str(side.row.trial.best_epoch or "-") for side in (one, two)],
        "epochs": [f"{side.row.trial.epochs}/{side.row.trial.epochs_budget}" for side in (one, two)],
        "time": [duration(side.row.trial.seconds) for side in (one, two)],
        "seed": [str(side.row.trial.seed) for side in (one, two)],
        "state": [side.row.outcome for side in (one, two)],
    }
    return [[Cell(name), *map(Cell, texts)] for name, texts in lines.items() if any(text != "-" for text in texts)]


def _verdict(one: _Side, two: _Side, apart: Apart | None, why: str) -> str:
    """Whether one is better, and how sure that is, in a sentence or two."""
    if why:
        return f"Their scores cannot be compared: of study {two.info.name}, {why}."
    if apart is None:
        return "There is nothing to compare: not both have a score."
    if apart.verdict == "same":
        return "Both have the same score. Each was trained with one seed."
    better, by = ("A" if apart.difference > 0 else "B"), score(abs(apart.difference))
    if apart.bounds is None:
        return f"{better} is better by {by}. How much of that is luck cannot be told from one score each."
    low, high = apart.bounds if apart.difference > 0 else (-apart.bounds[1], -apart.bounds[0])
    rows = f"{one.info.validation_images:,} validation {examples(one.info)}"
    lies = f"the difference lies between {signed(low)} and {signed(high)}"
    if apart.verdict == "luck":
        return (
            f"{better} is better by {by}, which luck may explain: as far as {rows} tell, {lies}. Each was also "
            "trained with one seed only, and another seed moves a score, too."
        )
    return (
        f"{better} is better by {by}, more than the luck of {rows} explains: {lies}. But each was trained with one "
        "seed only, and how much another seed moves a score is not known from this."
    )


def _say_differences(found: list[Difference] | None) -> None:
    say()
    if found is None:
        tell("What differs is not known: not both have a recipe.")
    elif not found:
        tell("The recipes are the same.")
    else:
        columns = [Column("what differs", wraps=True), Column("A", wraps=True), Column("B", wraps=True)]
        table(columns, [[Cell(one_line(text or "-")) for text in (d.address, d.a, d.b)] for d in found])


def _say_curves(one: _Side, two: _Side, metric: str, why: str) -> None:
    """Validation scores epoch by epoch, where they are of one metric."""
    courses = [[epoch.metrics.get(metric, math.nan) for epoch in side.history] for side in (one, two)]
    if one.info.objective != two.info.objective or not all(courses):
        return
    if lines := overlay(courses[0], courses[1]):
        say(f"\n{metric} by epoch (A, B, # both){f', on other {examples(two.info)}' if why else ''}")
        say("\n".join(lines))


# ---- as plain values


def _whole(one: _Side, two: _Side, found: list[Difference] | None, apart: Apart | None, why: str) -> dict[str, object]:
    low, high = apart.bounds if apart and apart.bounds else (None, None)
    return {
        "objective": one.info.objective,
        "comparable": not why,
        "why_not": why or None,
        "a": _plain(one),
        "b": _plain(two),
        "better_by": apart.difference if apart else None,
        "better_by_low": low,
        "better_by_high": high,
        "verdict": apart.verdict if apart else None,
        "differences": None if found is None else [asdict(difference) for difference in found],
    }


def _plain(side: _Side) -> dict[str, object]:
    return {
        **record(side.row),
        "seed": side.row.trial.seed,
        "best_epoch": side.row.trial.best_epoch,
        "recipe": side.row.trial.recipe,
        "history": [
            {"epoch": e.epoch, **{name: v if math.isfinite(v) else None for name, v in e.metrics.items()}}
            for e in side.history
        ],
    }
