"""What else a night brings: a truncated checkpoint, a damaged database, a second coordinator."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from _night import PATIENCE, TRAINING, Job, Run, command, environment
from _record import Kept, Watch, checkpoint_epochs, differing

__all__ = ["DAMAGES", "damaged_database", "stopped", "truncated_checkpoint", "two_coordinators"]


def stopped(job: Job, enough: Callable[[dict[int, Kept]], object]) -> dict[int, Kept]:
    """Run a study and kill all of it as soon as its record holds enough.

    Args:
        job: The study.
        enough: Whether it does.

    Returns:
        The record that is left.

    Raises:
        RuntimeError: The run ended before.
    """
    watch, run = Watch(job.folder), Run(job)
    try:
        limit = time.monotonic() + PATIENCE
        while not enough(watch.look()):
            if not run.running or time.monotonic() > limit:
                raise RuntimeError(f"{job.study} ended before it had done enough: {run.errors}")
            time.sleep(0.02)
        run.signal_group(signal.SIGKILL)
        run.end()
        run.orphans()
    finally:
        run.close()
    return watch.look()


def _finished(job: Job, expected: Mapping[int, Kept], since: Watch) -> tuple[Run, list[str]]:
    """The same command again, to the end of the study; what went wrong."""
    run = Run(job)
    try:
        code = run.end()
        run.line("(?!)")
        if code != 0:
            return run, [f"{job.study}: exit code {code}: {run.errors.strip()}"]
    finally:
        run.close()
    wrong = since.finished(job.trials) + since.lost + since.twice + differing(expected, since.look())
    return run, [f"{job.study}: {each}" for each in wrong]


def truncated_checkpoint(job: Job, expected: Mapping[int, Kept], dice: random.Random, *, both: bool) -> list[str]:
    """Cut the checkpoint of an open trial at a random byte; training goes on from the one before, or from the start.

    Args:
        job: A study.
        expected: What it gives when nobody disturbs it.
        dice: Where to cut.
        both: Whether the one before is cut too.

    Returns:
        What went wrong.
    """

    def previous(number: int) -> Path:
        return job.folder / "trials" / f"{number:05d}" / "checkpoint.previous.npz"

    def enough(record: dict[int, Kept]) -> bool:
        return any(not kept.ended and len(kept.history) >= 2 and previous(n).exists() for n, kept in record.items())

    record = stopped(job, enough)
    number = next(n for n, kept in record.items() if not kept.ended)
    newest = previous(number).with_name("checkpoint.npz")
    held = checkpoint_epochs(previous(number))
    if held is None:
        return [f"{job.study}: after a kill {previous(number).name} is not whole"]
    for path in (newest, previous(number)) if both else (newest,):
        if path.exists():  # a kill between the two renames leaves the one before only
            with open(path, "r+b") as file:
                file.truncate(dice.randrange(path.stat().st_size))
    watch = Watch(job.folder)
    watch.look()
    run, wrong = _finished(job, expected, watch)
    line = next((line for line in run.lines if line.training), None)
    match = TRAINING.match(line.text) if line else None
    went_on = int(match["epoch"] or 1) - 1 if match and int(match["number"]) == number else None
    if went_on != (0 if both else held):
        wrong.append(f"{job.study}: trial {number} went on after epoch {went_on}, not {0 if both else held}: {line}")
    return wrong


DAMAGES = (
    "all of it overwritten",
    "all but its first page overwritten",
    "cut in the middle",
    "cut at a random byte",
    "emptied",
)
"""What may become of a database."""


def _damaged(name: str, content: bytes, dice: random.Random) -> bytes:
    match name:
        case "all of it overwritten":
            return dice.randbytes(len(content))
        case "all but its first page overwritten":
            return content[:4096] + dice.randbytes(len(content) - 4096)
        case "cut in the middle":
            return content[: len(content) // 2]
        case "cut at a random byte":
            return content[: dice.randrange(1, len(content))]
        case _:
            return b""


def damaged_database(
    job: Job, expected: Mapping[int, Kept], dice: random.Random, damages: Sequence[str] = DAMAGES
) -> list[str]:
    """Damage the database of a stopped study: the command refuses, the trials stay readable, and a copy put back helps.

    Args:
        job: A study.
        expected: What it gives when nobody disturbs it.
        dice: Where the damage comes from.
        damages: What becomes of it, of `DAMAGES`.

    Returns:
        What went wrong.
    """
    stopped(job, lambda record: any(kept.ended for kept in record.values()))
    # SQLite ends what a kill cut off when the file is next opened; the copy must be of the whole.
    database, copy = job.folder / "study.db", job.folder / "study.db.copy"
    journal = database.with_name("study.db-journal")
    shutil.copy(database, copy)
    left = journal.read_bytes() if journal.exists() else None
    watch, wrong = Watch(job.folder), []
    before = watch.look()
    for name in damages:
        database.write_bytes(_damaged(name, copy.read_bytes(), dice))
        journal.unlink(missing_ok=True)
        wrong += [f"{job.study}, database {name}: {each}" for each in _refused(job)]
        if watch.look() != before or watch.lost:
            wrong.append(f"{job.study}, database {name}: the refused run changed the record: {watch.lost}")
            return wrong
    shutil.copy(copy, database)
    copy.unlink()
    if left is not None:
        journal.write_bytes(left)
    return wrong + _finished(job, expected, watch)[1]


def _refused(job: Job) -> list[str]:
    """The command says in one sentence that it cannot go on, and the reading commands still read."""
    run = Run(job)
    try:
        code = run.end()
        errors = run.errors
        orphans, _ = run.orphans()
    finally:
        run.close()
    wrong = [f"{orphans} processes outlived the refusal"] if orphans else []
    if code != 2 or not re.fullmatch(r"Error: [^\n]+\n", errors):
        wrong.append(f"not refused in one sentence: exit code {code}, {errors.strip()!r}")
    for arguments in (("leaderboard", "--json"), ("show", "0", "--json"), ("status", "--json")):
        where = ("--study", job.study, "--results", str(job.results))
        said = subprocess.run(
            command(*arguments, *where), env=environment(), capture_output=True, text=True, check=False
        )
        try:
            json.loads(said.stdout)
        except ValueError:
            wrong.append(f"{arguments[0]} says {said.stdout!r} {said.stderr.strip()!r}, exit code {said.returncode}")
    return wrong


def two_coordinators(job: Job, expected: Mapping[int, Kept]) -> list[str]:
    """Two coordinators at the same moment: one runs, the other says who does.

    Args:
        job: A study that nobody has begun.
        expected: What it gives when nobody disturbs it.

    Returns:
        What went wrong.
    """
    watch = Watch(job.folder)
    runs = [Run(job), Run(job)]
    try:
        codes = [run.end() for run in runs]
        for run in runs:
            run.line("(?!)")
        errors = [run.errors for run in runs]
        orphans = sum(run.orphans()[0] for run in runs)
    finally:
        for run in runs:
            run.close()
    if sorted(map(str, codes)) != ["0", "2"]:
        return [f"{job.study}: two coordinators ended with {codes}: {errors}"]
    refused = codes.index(2)
    wrong = watch.finished(job.trials) + watch.lost + watch.twice + differing(expected, watch.look())
    holder = f"is being written by process {runs[1 - refused].process.pid} on "
    if holder not in errors[refused] or len(errors[refused].splitlines()) != 1:
        wrong.append(f"the second coordinator said: {errors[refused].strip()!r}, not who holds the study")
    if orphans:
        wrong.append(f"{orphans} processes outlived them")
    return [f"{job.study}: {each}" for each in wrong]
