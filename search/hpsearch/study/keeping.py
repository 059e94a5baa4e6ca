"""Which checkpoints stay and what may go: a night's checkpoints would fill a disk."""

from __future__ import annotations

import contextlib
import heapq
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hpsearch.study.checkpoints import checkpoint_files, checkpoint_temporaries
from hpsearch.study.folder import StudyFolder
from hpsearch.study.requests import stops
from hpsearch.study.trial import Trial, finite

__all__ = ["KEEP", "Reclaimable", "reclaim", "reclaimable", "size_of", "tidy", "wanted"]

KEEP = 5
"""Of so many of the best trials the checkpoints stay, where nobody says otherwise."""

_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")
"""With the process that writes it."""


@dataclass(frozen=True)
class Reclaimable:
    """Something that may go.

    Args:
        path: A file, or a folder with all that is in it.
        bytes: How much room it takes.
        why: Why nobody needs it.
        settle: What is done instead of deleting it, where it may hold what is needed.
    """

    path: Path
    bytes: int
    why: str
    settle: Callable[[], None] | None = None


def wanted(trials: Iterable[Trial], keep: int, maximize: bool, may_continue: Callable[[int], bool]) -> set[int]:
    """The trials whose checkpoints must stay.

    Args:
        trials: All trials of the study.
        keep: How many of the best keep theirs.
        maximize: Whether more of the score is better.
        may_continue: Whether another trial may go on from the checkpoint of this one, which has ended.

    Returns:
        The numbers of those that are open, of those that these or others may go on from, and of the best.
    """
    trials = list(trials)
    scored = [(score, trial.number) for trial in trials if (score := finite(trial.score)) is not None]
    # Among equal scores the earlier trial is the better one, as on the leaderboard.
    best = heapq.nsmallest(keep, scored, key=lambda pair: (-pair[0] if maximize else pair[0], pair[1]))
    running = [trial for trial in trials if trial.state == "RUNNING"]
    found = {number for _, number in best} | {trial.number for trial in running}
    found |= {trial.parent for trial in running if trial.parent is not None}
    return found | {trial.number for trial in trials if trial.number not in found and may_continue(trial.number)}


def tidy(
    study: StudyFolder,
    wanted: Collection[int],
    numbers: Iterable[int] | None = None,
    ended: Collection[int] = (),
) -> int:
    """Delete the checkpoints of trials that need none any more.

    Args:
        study: The study, held for writing.
        wanted: The trials whose checkpoints stay.
        numbers: The trials to look at; None for all that have a readable record.
        ended: Trials that write no more checkpoints: of these the last one is enough.

    Returns:
        How many bytes that freed.
    """
    if numbers is None:
        numbers = [trial.number for trial in study.trials()]
    freed = 0
    for number in numbers:
        files = list(_checkpoints(study, number))
        if number in wanted:
            files = checkpoint_files(study.trial(number).path)[1:] if number in ended else []
        freed += sum(map(_delete, files))
    return freed


def reclaimable(
    study: StudyFolder, keep: int, maximize: bool, may_continue: Callable[[int], bool], answers: Iterable[Path] = ()
) -> list[Reclaimable]:
    """What may go of a study that no run holds.

    A trial whose record cannot be read keeps all it has.

    Args:
        study: The study.
        keep: How many of the best trials keep their checkpoints.
        maximize: Whether more of the score is better.
        may_continue: Whether another trial may go on from the checkpoint of this one, which has ended.
        answers: Files with what networks answer that no report shows any more.
    """
    trials = study.trials()
    stay = wanted(trials, keep, maximize, may_continue)
    found: list[Reclaimable] = []
    for trial in trials:
        if trial.number not in stay:
            why = f"checkpoint of trial {trial.name}, which has ended and is not among the {keep} best"
            files = checkpoint_files(study.trial(trial.number).path)
            found += [Reclaimable(path, size_of(path), why) for path in files]
    trials_there = sorted((study.path / "trials").glob("[0-9]*"))
    folders = [path for path in trials_there if path.name.isdecimal() and _without_record(path)]
    found += [Reclaimable(path, size_of(path), "a trial that was killed before it was recorded") for path in folders]
    found += [
        Reclaimable(path, size_of(path), "left over from a write that was killed")
        for path in sorted(study.path.rglob(".*.tmp"))
        if _TEMPORARY.fullmatch(path.name) and not any(folder in path.parents for folder in folders)
    ]
    why = "kept for the report, which shows another network by now"
    found += [Reclaimable(path, size_of(path), why) for path in answers]
    said = "a request to stop a run that has ended"
    return found + [Reclaimable(request.path, size_of(request.path), said) for request in stops(study)]


def reclaim(found: Iterable[Reclaimable]) -> int:
    """Delete.

    Args:
        found: What may go; the study that it is of is held for writing.

    Returns:
        How many bytes that freed.
    """
    return sum(_settled(one) if one.settle else _delete(one.path) for one in found)


def _settled(one: Reclaimable) -> int:
    """How many bytes less a folder then takes, whatever came out of the hidden one in it."""
    before = size_of(one.path.parent)
    if one.settle:
        one.settle()
    return max(before - size_of(one.path.parent), 0)


def _checkpoints(study: StudyFolder, number: int) -> Iterator[Path]:
    folder = study.trial(number).path
    yield from checkpoint_files(folder)
    yield from checkpoint_temporaries(folder)


def _without_record(path: Path) -> bool:
    return path.is_dir() and not (path / "trial.json").exists()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what vanishes meanwhile counts nothing.

    Args:
        path: The file or folder.
    """
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    total = 0
    for file in files:
        with contextlib.suppress(OSError):
            total += file.lstat().st_size if not file.is_dir() else 0
    return total


def _delete(path: Path) -> int:
    """Delete a file or a folder, and say how many bytes that freed; one that is gone already frees none."""
    size = size_of(path)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return size - size_of(path)
    try:
        path.unlink()
    except OSError:
        return 0
    return size
