"""The commands that read a study: ``leaderboard``, ``show`` and ``studies``. None of them needs Keras."""

from __future__ import annotations

import ast
import builtins
import json
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hpsearch.cli.output import (
    Cell,
    Column,
    PositiveWhole,
    console,
    count,
    duration,
    on_terminal,
    one_line,
    results_option,
    say,
    score,
    signed,
    sparkline,
    study_option,
    table,
    tell,
)
from hpsearch.errors import StudyError
from hpsearch.results.leaderboard import Row, as_csv, as_json, outcome, rank, record
from hpsearch.study import Epoch, StudyFolder, StudyInfo, Trial, open_study, studies_in
from hpsearch.study.trial import STATES

__all__ = ["leaderboard", "show", "studies"]

TOP_ON_TERMINAL = 20

_STYLES = {"COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red", "RUNNING": "cyan"}


def _direction(objective: str) -> tuple[str, bool]:
    """Metric and whether more is better, of ``max val_accuracy``; the space was checked when the study began."""
    word, _, metric = objective.partition(" ")
    return metric, word == "max"


# ---- leaderboard


@click.command(
    epilog="\b\nExample:\n  hpsearch leaderboard --top 10\n  hpsearch leaderboard --study digits --csv > digits.csv"
)
@study_option
@results_option
@click.option(
    "--top",
    type=PositiveWhole(),
    metavar="N",
    help=f"Only the N best. Without it a terminal shows the {TOP_ON_TERMINAL} best; files and pipes get all.",
)
@click.option("--json", "as_", flag_value="json", help="A list of objects with full precision, nothing else.")
@click.option("--csv", "as_", flag_value="csv", help="The same fields as comma-separated values.")
def leaderboard(study: str | None, results: Path, top: int | None, as_: str | None) -> None:
    """Rank the trials of a study, the best first.

    The gap is how much better a trial does on the images it was trained on than on the validation images: a large one
    means that it overfits. Trials without a score come last, with the reason.
    """
    folder = open_study(results, study)
    info = folder.info()
    _, maximize = _direction(info.objective)
    trials = folder.trials()
    rows = rank(trials, maximize)
    if as_:
        say((as_json if as_ == "json" else as_csv)(rows[:top]))
        return
    shown = rows[: top or (TOP_ON_TERMINAL if on_terminal() else None)]
    tell(f"{folder.name}: {info.objective}, {_tally(rows)}")
    if not rows:
        return
    say()
    table(_COLUMNS, [_cells(row) for row in shown])
    footnotes = list(_footnotes(rows, shown, len(trials) - len(rows)))
    if footnotes:
        tell("\n" + "\n".join(footnotes))


_COLUMNS = (
    Column("rank", right=True),
    Column("trial", wraps=True),
    Column("val", right=True),
    Column("train", right=True),
    Column("gap", right=True),
    Column("parameters", right=True, drop=3),
    Column("epochs", right=True, drop=2),
    Column("time", right=True, drop=1),
    Column("state", wraps=True),
)


def _cells(row: Row) -> list[Cell]:
    trial = row.trial
    base = "bold" if row.rank == 1 else "dim" if row.rank is None else ""
    texts = (
        str(row.rank) if row.rank else "-",
        _marked(trial),
        score(row.validation),
        score(row.train),
        signed(row.gap),
        count(trial.parameters),
        _epochs(trial),
        duration(trial.seconds),
    )
    return [*(Cell(text, base) for text in texts), Cell(outcome(trial), _STYLES[trial.state])]


def _marked(trial: Trial) -> str:
    return f"{one_line(trial.baseline)} *" if trial.baseline else str(trial.number)


def _epochs(trial: Trial) -> str:
    return f"{trial.epochs}/{trial.epochs_budget}" if trial.epochs_budget else str(trial.epochs)


def _tally(rows: Sequence[Row]) -> str:
    """``57 trials (40 complete, 12 pruned, 3 out_of_memory)``."""
    if not rows:
        return "no trials yet"
    words = [row.trial.failure or row.trial.state.lower() for row in rows]
    states = [state.lower() for state in STATES]
    counts = {word: words.count(word) for word in [*states, *sorted(set(words) - set(states))] if word in words}
    said = ", ".join(f"{number:,} {word}" for word, number in counts.items())
    return f"{len(rows):,} {'trial' if len(rows) == 1 else 'trials'} ({said})"


def _footnotes(rows: Sequence[Row], shown: Sequence[Row], repeats: int) -> list[str]:
    notes = []
    if any(row.trial.baseline for row in shown):
        notes.append("* baseline")
    if len(shown) < len(rows):
        notes.append(f"{len(shown):,} of {len(rows):,} trials; all of them: --top {len(rows)}")
    if repeats:
        notes.append(f"left out: {repeats:,} {'proposal' if repeats == 1 else 'proposals'} that repeated a trial")
    return notes


# ---- show


@click.command(epilog="\b\nExample:\n  hpsearch show 12\n  hpsearch show by_hand_1 --study cifar > best.py")
@click.argument("trial", metavar="TRIAL")
@study_option
@results_option
@click.option("--json", "as_json_", is_flag=True, help="Everything about the trial as one JSON object, nothing else.")
def show(trial: str, study: str | None, results: Path, as_json_: bool) -> None:
    """Show one trial: its scores, its curve, and its recipe as Python.

    TRIAL is a number or the name of a baseline, as the leaderboard lists them. Written to a file, everything but the
    recipe is a comment, so that the file runs.
    """
    folder = open_study(results, study)
    info = folder.info()
    # The record knows trials as 12; people copy 00012 from the folder's name too.
    found = folder.find(str(int(trial)) if trial.isdecimal() else trial)
    history = folder.trial(found.number).history()
    _, maximize = _direction(info.objective)
    row = _row_of(found, folder, maximize)
    if as_json_:
        say(json.dumps(_whole_record(row, folder, info, history), indent=2, allow_nan=False))
        return
    about = [*_summary(row, folder, info), *_curve(history, found.best_epoch, info.objective)]
    if on_terminal():
        _show_on_terminal(about, _runnable(found, folder))
    else:
        say("\n".join(f"# {line}".rstrip() for line in about))
        say(f"\n{_runnable(found, folder)}")


def _row_of(trial: Trial, folder: StudyFolder, maximize: bool) -> Row:
    """The trial with its place in the study; a repeat has none."""
    rows = rank(folder.trials(), maximize)
    return next((row for row in rows if row.trial.number == trial.number), Row(None, trial, None))


def _whole_record(row: Row, folder: StudyFolder, info: StudyInfo, history: Sequence[Epoch]) -> dict[str, object]:
    trial = row.trial
    return {
        **record(row),
        "study": folder.name,
        "objective": info.objective,
        "best_epoch": trial.best_epoch,
        "seed": trial.seed,
        "answers": trial.answers,
        "recipe": trial.recipe,
        "imports": _import_line(trial.recipe),
        "log": str(_log(trial, folder)) if _log(trial, folder).exists() else None,
        "history": [
            {
                "epoch": epoch.epoch,
                "seconds": epoch.seconds,
                **{name: value if math.isfinite(value) else None for name, value in epoch.metrics.items()},
            }
            for epoch in history
        ],
    }


def _log(trial: Trial, folder: StudyFolder) -> Path:
    return folder.trial(trial.number).log


def _summary(row: Row, folder: StudyFolder, info: StudyInfo) -> list[str]:
    """What is known of the trial, one fact a line."""
    trial = row.trial
    place = f", rank {row.rank}" if row.rank else ""
    called = f"Baseline {one_line(trial.baseline)}, trial {trial.number}" if trial.baseline else f"Trial {trial.number}"
    metric, _ = _direction(info.objective)
    at = f" at epoch {trial.best_epoch}" if trial.best_epoch else ""
    budget = f" of {trial.epochs_budget}" if trial.epochs_budget else ""
    log = _log(trial, folder)
    facts = {
        metric: f"{score(row.validation)}{at}" if row.validation is not None else "",
        "on training": f"{score(row.train)}, gap {signed(row.gap)}" if row.train is not None else "",
        "parameters": count(trial.parameters) if trial.parameters is not None else "",
        "epochs": f"{trial.epochs}{budget} in {duration(trial.seconds)}",
        "ended" if trial.state != "RUNNING" else "note": one_line(trial.message),
        "log": str(log) if log.exists() else "",
    }
    return [
        f"{called} of study {folder.name}: {outcome(trial)}{place}",
        "",
        *(f"{name:<12} {fact}" for name, fact in facts.items() if fact),
        "",
    ]


CURVE_WIDTH = 40


def _curve(history: Sequence[Epoch], best_epoch: int | None, objective: str) -> list[str]:
    """A line of bars a metric; validation and training of one metric share their scale."""
    if not history:
        return []
    names = _paired(list(history[0].metrics), objective)
    margin = max(map(len, names), default=0)
    lines = []
    for name in names:
        values = _values(history, name)
        lines.append(f"{name:<{margin}}  {_bars(history, name)}  {score(values[0])} to {score(values[-1])}")
    if lines and best_epoch and best_epoch <= len(history):
        lines.append(" " * (margin + 2 + _place(best_epoch, len(history))) + f"^ best epoch {best_epoch}")
    return [*lines, ""] if lines else []


def _paired(metrics: Sequence[str], objective: str) -> list[str]:
    """Validation and training side by side, the metric of the objective first."""
    first = _base(_direction(objective)[0])
    bases = sorted((_base(name) for name in metrics if name.startswith("val_")), key=lambda base: base != first)
    return [name for base in bases for name in (f"val_{base}", base) if name in metrics]


def _base(name: str) -> str:
    return name.removeprefix("val_")


def _values(history: Sequence[Epoch], name: str) -> list[float]:
    return [epoch.metrics.get(name, math.nan) for epoch in history]


def _bars(history: Sequence[Epoch], name: str) -> str:
    pair = _values(history, _base(name)) + _values(history, f"val_{_base(name)}")
    finite = [value for value in pair if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (None, None)
    return sparkline(_values(history, name), CURVE_WIDTH, low, high)


def _place(epoch: int, epochs: int) -> int:
    """The bar that holds an epoch."""
    return epoch - 1 if epochs <= CURVE_WIDTH else (epoch * CURVE_WIDTH - 1) // epochs


def _runnable(trial: Trial, folder: StudyFolder) -> str:
    """The recipe as Python that runs once what it names of the user's own is there."""
    if not trial.recipe:
        return "# The trial ended before its recipe was known."
    own = ", ".join(sorted(_names(trial.recipe) - _exported()))
    lines = [f"# From your space file ({folder.space_file}): {own}"] if own else []
    return "\n".join([_import_line(trial.recipe), *lines, "", f"recipe = {trial.recipe}"])


def _import_line(recipe: str) -> str:
    """``from hpsearch import ...`` with exactly the names that a recipe uses; empty when there are none."""
    import hpsearch

    names = _names(recipe)
    used = [name for name in hpsearch.__all__ if name in names]
    return f"from hpsearch import {', '.join(used)}" if used else ""


def _names(recipe: str) -> set[str]:
    """The names that a recipe refers to, Python's own left out."""
    try:
        tree = ast.parse(recipe, mode="eval")
    except (SyntaxError, ValueError):
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - set(dir(builtins))


def _exported() -> set[str]:
    import hpsearch

    return set(hpsearch.__all__)


def _show_on_terminal(about: Sequence[str], code: str) -> None:
    from rich.syntax import Syntax

    screen = console()
    screen.print(about[0], style="bold", soft_wrap=True)
    for line in about[1:]:
        screen.print(line, soft_wrap=True)
    # Unwrapped and without padding, so that what is copied from the terminal is what was printed.
    screen.print(Syntax(code, "python", theme="ansi_dark").highlight(code), soft_wrap=True, end="")


# ---- studies


@click.command(epilog="\b\nExample:\n  hpsearch studies\n  hpsearch studies --results /scratch/results --json")
@results_option
@click.option("--json", "as_json_", is_flag=True, help="A list of objects, nothing else.")
def studies(results: Path, as_json_: bool) -> None:
    """List the studies, the latest first: that is the one which other commands read without --study."""
    found: list[dict[str, Any]] = []
    damaged: list[str] = []
    for folder in reversed(studies_in(results)):
        try:
            found.append(_about(folder))
        except StudyError as error:
            damaged.append(str(error))
    if as_json_:
        say(json.dumps(found, indent=2, allow_nan=False))
    elif found:
        table(_STUDY_COLUMNS, [_study_cells(study) for study in found])
    elif not damaged:
        tell(f"There is no study in {results}; begin one with: hpsearch run spaces/digits.py")
    for sentence in damaged:
        click.echo(sentence, err=True)


_STUDY_COLUMNS = (
    Column("study", wraps=True),
    Column("objective", drop=3),
    Column("trials", right=True),
    Column("best", right=True),
    Column("by", wraps=True),
    Column("created", drop=1),
    Column("space file", wraps=True, drop=2),
)


def _about(folder: StudyFolder) -> dict[str, Any]:
    info = folder.info()
    _, maximize = _direction(info.objective)
    rows = rank(folder.trials(), maximize)
    best = rows[0] if rows and rows[0].rank else None
    return {
        "study": folder.name,
        "objective": info.objective,
        "trials": len(rows),
        "best": best.validation if best else None,
        "best_trial": best.trial.name if best else None,
        "created": datetime.fromtimestamp(info.created).astimezone().isoformat(timespec="seconds"),
        "space_file": info.space_file,
        "folder": str(folder.path),
    }


def _study_cells(study: dict[str, Any]) -> list[Cell]:
    texts = (
        study["study"],
        study["objective"],
        count(study["trials"]),
        score(study["best"]),
        one_line(study["best_trial"] or "-"),
        study["created"][:16].replace("T", " "),
        one_line(study["space_file"]),
    )
    return [Cell(text) for text in texts]
