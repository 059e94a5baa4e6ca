"""The commands that read a study: ``show`` and ``studies``. None of them needs Keras."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hpsearch.cli.board import between
from hpsearch.cli.curve import curve
from hpsearch.cli.lanes import doubt
from hpsearch.cli.output import (
    Cell,
    Column,
    amount,
    complain,
    console,
    count,
    duration,
    on_terminal,
    one_line,
    printable,
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
from hpsearch.cli.standing import Standing, held
from hpsearch.cli.status import command_to_go_on
from hpsearch.errors import StudyError
from hpsearch.results.board import of_objective
from hpsearch.results.examples import examples
from hpsearch.results.leaderboard import Row, rank, record
from hpsearch.study import Epoch, StudyFolder, StudyInfo, Trial, open_study, studies_in

__all__ = ["show", "studies"]

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
    row = Standing(folder).row(trial)
    found = row.trial
    history = folder.trial(found.number).history()
    metric, _ = of_objective(info.objective)
    if as_json_:
        say(json.dumps(_whole_record(row, folder, info, history, results), indent=2, allow_nan=False))
        return
    about = [*_summary(row, folder, info, results), *curve(history, found.best_epoch, metric)]
    if on_terminal():
        _show_on_terminal(about, runnable(found.recipe, folder.space_file))
    else:
        say("\n".join(f"# {line}".rstrip() for line in about))
        say(f"\n{runnable(found.recipe, folder.space_file)}")


def _whole_record(
    row: Row, folder: StudyFolder, info: StudyInfo, history: Sequence[Epoch], results: Path
) -> dict[str, object]:
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
        "doubt": doubt(folder, trial, results) or None,
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
    metric, _ = of_objective(info.objective)
    at = f" at epoch {trial.best_epoch}" if trial.best_epoch else ""
    budget = f" of {trial.epochs_budget}" if trial.epochs_budget else ""
    log = _log(trial, folder)
    facts = {
        "objective": info.objective,
        metric: f"{score(row.validation)}{at}" if row.validation is not None else "",
        "interval": f"{between(row.bounds)}, 95 %, on {info.validation_images:,} validation {examples(info)}"
        if row.bounds
        else "",
        "on training": f"{score(row.train)}, gap {signed(row.gap)}" if row.train is not None else "",
        "parameters": count(trial.parameters) if trial.parameters is not None else "",
        "FLOPs": f"{amount(trial.flops)}, one {examples(info)[:-1]} forward" if trial.flops is not None else "",
        "memory": f"about {size(trial.memory)} to train" if trial.memory is not None else "",
        "epochs": f"{trial.epochs}{budget} in {duration(trial.seconds)}",
        "device": one_line(trial.device) + (", by the device engine" if trial.engine == "device" else ""),
        "doubtful": one_line(doubt(folder, trial, results)),
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
    if held(folder):
        return f"{where}, when its turn comes in the run that goes on"
    return f"{where}, with: {command_to_go_on(folder, results)}"


def _show_on_terminal(about: Sequence[str], code: str) -> None:
    from rich.syntax import Syntax

    screen = console()
    screen.print(printable(about[0]), style="bold", soft_wrap=True)
    for line in about[1:]:
        screen.print(printable(line), soft_wrap=True)
    # Unwrapped and without padding, so that what is copied from the terminal is what was printed.
    shown = printable(code)
    screen.print(Syntax(shown, "python", theme="ansi_dark").highlight(shown), soft_wrap=True, end="")


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
        complain(sentence)


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
    _, maximize = of_objective(info.objective)
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
