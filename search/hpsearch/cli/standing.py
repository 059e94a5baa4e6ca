"""A study as it stands at this moment, read without disturbing whoever writes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hpsearch.errors import StudyError
from hpsearch.results.board import Board, Entered, board, of_objective
from hpsearch.results.leaderboard import Row
from hpsearch.results.recorded import at_best
from hpsearch.study import StudyFolder, StudyInfo, Trial
from hpsearch.study.live import LiveSlot, read_live
from hpsearch.study.trial import TrialFolder

__all__ = ["Standing", "held", "training"]


def held(folder: StudyFolder) -> bool:
    """Whether a run goes on; on a file system without locks none does, and a copy of a study is still to be read."""
    try:
        return folder.held
    except StudyError:
        return False


def training(folder: StudyFolder) -> dict[int, LiveSlot]:
    """The trials that are being trained now: what the run that holds the study says of its slots."""
    if not held(folder):
        return {}
    holder, live = folder.holder(), read_live(folder)
    if holder is None or live is None or holder.pid not in (None, live.pid):  # an earlier run said it
        return {}
    return {slot.trial: slot for slot in live.slots if slot.trial is not None}


class Standing:
    """Looks at studies again and again; of trials that have not changed since, nothing is read anew.

    Args:
        folder: The study.
        others: Studies that are to be ranked with it.
    """

    def __init__(self, folder: StudyFolder, others: Sequence[StudyFolder] = ()) -> None:
        self.folder = folder
        self.others = others
        self.info: StudyInfo = folder.info()
        self.metrics: Sequence[str] = ()
        """What rows are to hold of the histories; nothing, as long as no history needs to be read."""
        self._known: dict[Path, tuple[_Stat, Trial]] = {}
        self._measured: dict[Path, tuple[_Stat, Mapping[str, float | None]]] = {}

    def look(self) -> Board:
        """The trials as they stand now, ranked."""
        first, *others = (self._entered(folder) for folder in (self.folder, *self.others))
        found = board(first, others)
        return replace(found, rows=list(map(self._with_metrics, found.rows))) if self.metrics else found

    def row(self, name: str) -> Row:
        """A trial of the study with its place in it; a repeat has none.

        Args:
            name: Its number, also as 00012, which is what its folder is called, or the name of a baseline.

        Raises:
            StudyError: There is none; the sentence names the nearest.
        """
        trial = self.folder.find(str(int(name)) if name.isdecimal() else name)
        rows = self.look().rows
        mine = (row for row in rows if row.trial.number == trial.number and row.study == self.folder.name)
        return next(mine, Row(None, trial, None, study=self.folder.name))

    def _entered(self, folder: StudyFolder) -> Entered:
        info = self.info if folder is self.folder else folder.info()
        info.name = folder.name  # a folder that was copied or renamed goes by its new name, as everywhere
        before = training(folder)
        trials = self._trials(folder)
        # Whatever began or ended while the records were read was being trained, and was not interrupted.
        slots = before | training(folder)
        return Entered(info, [_so_far(trial, slots.get(trial.number)) for trial in trials], slots.keys())

    def _with_metrics(self, row: Row) -> Row:
        """A row with what its history says; a study that is not named by it is the first."""
        folder = next((each for each in self.others if each.name == row.study), self.folder)
        trial = folder.trial(row.trial.number)
        try:
            stat = _stat(trial.path / "history.csv")
        except OSError:
            return replace(row, metrics=dict.fromkeys(self.metrics))
        known = self._measured.get(trial.path)
        if known is None or known[0] != stat:
            values = at_best(trial, row.trial, self.metrics, *of_objective(self.info.objective))
            known = self._measured[trial.path] = (stat, values)
        return replace(row, metrics=known[1])

    def _trials(self, folder: StudyFolder) -> list[Trial]:
        """All trials by number; a folder without a readable record is passed over, as `StudyFolder.trials` does."""
        found: list[Trial] = []
        for path in sorted((folder.path / "trials").glob("[0-9]*")):
            try:
                state = _stat(path / "trial.json")
                known = self._known.get(path)
                if known is None or known[0] != state:
                    known = self._known[path] = (state, TrialFolder(path).read())
                found.append(known[1])
            except (OSError, ValueError):
                continue
        return found


_Stat = tuple[int, int, int]


def _stat(path: Path) -> _Stat:
    """What changes when a file does."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _so_far(trial: Trial, slot: LiveSlot | None) -> Trial:
    """A trial that is being trained, with the score and epochs that it has so far; its record has them in the end."""
    if slot is None or trial.state != "RUNNING" or slot.score is None:
        return trial
    return replace(trial, score=slot.score, epochs=max(slot.epoch - 1, trial.epochs))
