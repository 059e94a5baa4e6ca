"""The commands that read a study: ``leaderboard``, ``show`` and ``studies``. None of them needs Keras."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hpsearch.cli.curve import curve
from hpsearch.cli.output import (
    Cell,
    Column,
    PositiveWhole,
    amount,
    console,
    count,
    duration,
    on_terminal,
    one_line,
    results_option,
    say,
    score,
    signed,
    size,
    study_option,
    table,
    tell,
)
from hpsearch.cli.source import import_line, runnable
from hpsearch.cli.status import command_to_go_on
from hpsearch.errors import StudyError
from hpsearch.results.leaderboard import Row, as_csv, as_json, counts, rank, record, summary
from hpsearch.study import Epoch, StudyFolder, StudyInfo, Trial, open_study, studies_in
from hpsearch.study.live import read_live

__all__ = ["leaderboard", "show", "studies"]

TOP_ON_TERMINAL = 20

_STYLES = {"COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red", "RUNNING": "cyan"}


def _held(folder: StudyFolder) -> bool:
    """Whether a run goes on; on a file system without locks none does, and a copy of a study is still to be read."""
    try:
        return folder.held
    except StudyError:
        return False


def _training(folder: StudyFolder) -> set[int]:
    """The trials that are being trained now: what the run that holds the study says of its slots."""
    if not _held(folder):
        return set()
    holder, live = folder.holder(), read_live(folder)
    if holder is None or live is None or holder.pid not in (None, live.pid):  # an earlier run said it
        return set()
    return {slot.trial for slot in live.slots if slot.trial is not None}


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
    rows = rank(trials, maximize, _training(folder))
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
    return [*(Cell(text, base) for text in texts), Cell(row.outcome, _STYLES[trial.state])]


def _marked(trial: Trial) -> str:
    return f"{one_line(trial.baseline)} *" if trial.baseline else str(trial.number)


def _epochs(trial: Trial) -> str:
    return f"{trial.epochs}/{trial.epochs_budget}" if trial.epochs_budget else str(trial.epochs)


def _tally(rows: Sequence[Row]) -> str:
    """``57 trials (40 complete)``; the others are counted below the table."""
    if not rows:
        return "no trials yet"
    complete = counts(rows).get("COMPLETE", 0)
    return f"{len(rows):,} {'trial' if len(rows) == 1 else 'trials'} ({complete:,} complete)"


def _footnotes(rows: Sequence[Row], shown: Sequence[Row], repeats: int) -> list[str]:
    notes = []
    if any(row.trial.baseline for row in shown):
        notes.append("* baseline")
    if len(shown) < len(rows):
        notes.append(f"{len(shown):,} of {len(rows):,} trials; all of them: --top {len(rows)}")
    if others := [words for label, words in summary(counts(rows)) if label != "COMPLETE"]:
        notes.append("; ".join(others))
    if any(row.interrupted for row in rows):
        notes.append("interrupted: goes on from its checkpoint with the same hpsearch run; its score is that so far")
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
    metric, maximize = _direction(info.objective)
    row = _row_of(found, folder, maximize)
    if as_json_:
        say(json.dumps(_whole_record(row, folder, info, history), indent=2, allow_nan=False))
        return
    about = [*_summary(row, folder, info, results), *curve(history, found.best_epoch, metric)]
    if on_terminal():
        _show_on_terminal(about, runnable(found.recipe, folder.space_file))
    else:
        say("\n".join(f"# {line}".rstrip() for line in about))
        say(f"\n{runnable(found.recipe, folder.space_file)}")


def _row_of(trial: Trial, folder: StudyFolder, maximize: bool) -> Row:
    """The trial with its place in the study; a repeat has none."""
    rows = rank(folder.trials(), maximize, _training(folder))
    return next((row for row in rows if row.trial.number == trial.number), Row(None, trial, None))


def _whole_record(row: Row, folder: StudyFolder, info: StudyInfo, history: Sequence[Epoch]) -> dict[str, object]:
    trial = row.trial
    return {
        **record(row),
        "study": folder.name,
        "objective": info.objective,
        "best_epoch": trial.best_epoch,
        "enqueued": trial.enqueued,
        "attempts": trial.attempts,
        "seed": trial.seed,
        "answers": trial.answers,
        "recipe": trial.recipe,
        "imports": import_line(trial.recipe),
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


def _summary(row: Row, folder: StudyFolder, info: StudyInfo, results: Path) -> list[str]:
    """What is known of the trial, one fact a line."""
    trial = row.trial
    place = f", rank {row.rank}" if row.rank else ""
    called = f"Baseline {one_line(trial.baseline)}, trial {trial.number}" if trial.baseline else f"Trial {trial.number}"
    metric, _ = _direction(info.objective)
    at = f" at epoch {trial.best_epoch}" if trial.best_epoch else ""
    budget = f" of {trial.epochs_budget}" if trial.epochs_budget else ""
    log = _log(trial, folder)
    facts = {
        "objective": info.objective,
        metric: f"{score(row.validation)}{at}" if row.validation is not None else "",
        "on training": f"{score(row.train)}, gap {signed(row.gap)}" if row.train is not None else "",
        "parameters": count(trial.parameters) if trial.parameters is not None else "",
        "FLOPs": f"{amount(trial.flops)}, one image forward" if trial.flops is not None else "",
        "memory": f"about {size(trial.memory)} to train" if trial.memory is not None else "",
        "epochs": f"{trial.epochs}{budget} in {duration(trial.seconds)}",
        "device": one_line(trial.device),
        "continues": f"trial {trial.parent}" if trial.parent is not None else "",
        "enqueued": "with hpsearch enqueue" if trial.enqueued else "",
        "attempts": f"{trial.attempts}: training was taken up again" if trial.attempts > 1 else "",
        "ended" if trial.state != "RUNNING" else "note": one_line(trial.message),
        "goes on": _going_on(trial, folder, results) if row.interrupted else "",
        "log": str(log) if log.exists() else "",
    }
    return [
        f"{called} of study {folder.name}: {row.outcome}{place}",
        "",
        *(f"{name:<12} {fact}" for name, fact in facts.items() if fact),
        "",
    ]


def _going_on(trial: Trial, folder: StudyFolder, results: Path) -> str:
    """From where and how an interrupted trial goes on."""
    where = f"at epoch {trial.epochs + 1}"
    if _held(folder):
        return f"{where}, when its turn comes in the run that goes on"
    return f"{where}, with: {command_to_go_on(folder, results)}"


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
