"""``hpsearch stop``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpsearch.cli.output import one_line, results_option, say, score, study_option, tell
from hpsearch.errors import RunError, StudyError
from hpsearch.study.folder import StudyFolder, open_study
from hpsearch.study.live import LiveSlot, read_live
from hpsearch.study.requests import StopRequest, answer, request_stop

if TYPE_CHECKING:
    from hpsearch.study.trial import Trial

__all__ = ["stop"]

PATIENCE = 30.0
"""Seconds within which a run is to answer, and to have ended."""
_PAUSE = 0.05


@click.command(epilog="\b\nExample:\n  hpsearch stop\n  hpsearch stop 12 --study digits")
@click.argument("trial", required=False)
@study_option
@results_option
def stop(trial: str | None, study: str | None, results: Path) -> None:
    """End the run of a study in good order, or only TRIAL, from any terminal.

    A run that is told to stop ends like after Ctrl-C: every trial finishes its step and is written down, and the same
    hpsearch run goes on from there. A trial that is told to stop ends after its step; what it found counts, and the
    run goes on with the next. TRIAL is a number or a baseline's name.
    """
    folder = open_study(results, study)
    folder = folder.finals if folder.finals.held else folder
    if not folder.held:
        raise StudyError(f"Nothing runs on study {folder.name}; see: hpsearch status --study {folder.name}")
    if trial is None:
        _stop_run(folder, results)
    else:
        _stop_trial(folder, _slot(folder, trial))


def _slot(folder: StudyFolder, name: str) -> LiveSlot:
    """The slot that trains a trial."""
    live = read_live(folder)
    busy = [slot for slot in (live.slots if live else []) if slot.trial is not None]
    for slot in busy:
        if name in (slot.name, str(slot.trial)):
            return slot
    running = ", ".join(f"{slot.name or slot.trial} ({slot.device})" for slot in busy) or "none at this moment"
    raise StudyError(f"Trial {name!r} of study {folder.name} does not run; those that do: {one_line(running)}.")


def _stop_run(folder: StudyFolder, results: Path) -> None:
    from hpsearch.cli.status import command_to_go_on

    tell(f"Asking the run on study {folder.name} to stop ...")
    limit = time.monotonic() + PATIENCE
    if not _ask(folder, None, limit) or not _wait(lambda: not folder.held, limit):
        say(f"Study {folder.name} is stopping and takes its time; see: hpsearch status --study {folder.name}")
        return
    live = read_live(folder)
    note = f": {one_line(live.note).rstrip('.')}" if live and live.state == "ended" and live.note else ""
    left = [trial.name for trial in folder.trials() if trial.state == "RUNNING"]
    rest = f" Open, to be gone on with: {', '.join(map(one_line, left))}." if left else ""
    say(f"Study {folder.name} has stopped{note}.{rest} Go on with: {command_to_go_on(folder, results)}")


def _stop_trial(folder: StudyFolder, slot: LiveSlot) -> None:
    assert slot.trial is not None  # _slot gives no other
    name, number = one_line(slot.name or str(slot.trial)), slot.trial
    tell(f"Asking for the end of trial {name} ...")
    limit = time.monotonic() + PATIENCE
    ended = _ask(folder, number, limit) and _wait(lambda: _record(folder, number) is not None or not folder.held, limit)
    trial = _record(folder, number)
    if trial is not None:
        found = f", score {score(trial.score)}" if trial.score is not None else ""
        say(f"Trial {name} has ended after {trial.epochs} epochs{found}.")
    elif ended:
        say(f"The run on study {folder.name} has ended; trial {name} is open.")
    else:
        say(f"Trial {name} was told to stop and takes its time; see: hpsearch status --study {folder.name}")


def _record(folder: StudyFolder, number: int) -> Trial | None:
    """The record of a trial that has ended."""
    try:
        trial = folder.trial(number).read()
    except (OSError, ValueError):
        return None
    return trial if trial.state != "RUNNING" else None


def _ask(folder: StudyFolder, number: int | None, limit: float) -> bool:
    """Ask, and wait for the answer, which takes the request away.

    Returns:
        Whether it came in time; where not, the run was heard of since, and answers when it is so far.

    Raises:
        RunError: The run was not heard of since.
    """
    asked = time.time()
    try:
        path = request_stop(folder, number)
    except OSError as error:
        raise RunError(f"The request cannot be written to {folder.path}: {error.strerror}.") from error
    if _wait(lambda: not path.exists() or not folder.held, limit):
        answer(StopRequest(path, number))  # of a run that ended by itself meanwhile
        return True
    live = read_live(folder)
    if live is not None and live.updated > asked:
        return False
    holder = folder.holder()
    kill = f" To end it at once: kill -9 {holder.pid}" if holder and holder.pid else ""
    raise RunError(
        f"The run on study {folder.name} has not been heard of for {PATIENCE:.0f} s; it will stop when it goes on."
        f"{kill}"
    )


def _wait(condition: Callable[[], bool], limit: float) -> bool:
    """Wait for a condition; whether it holds in time."""
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(_PAUSE)
    return True
