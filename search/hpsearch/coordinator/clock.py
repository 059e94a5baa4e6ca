"""The time that a study has run, over all its runs: what the time budget is measured by."""

from __future__ import annotations

import time

from hpsearch.study.folder import StudyFolder
from hpsearch.study.live import read_live
from hpsearch.study.trial import Trial

__all__ = ["Clock"]


class Clock:
    """Runs while a run of the study does, and stands while that waits for room on the disk.

    Args:
        folder: The study; what an earlier run wrote there counts on.
        trials: The trials so far; where no earlier run left word of the time, their seconds stand for it.
    """

    def __init__(self, folder: StudyFolder, trials: list[Trial]) -> None:
        live = read_live(folder)
        self._before = live.seconds if live is not None else sum(trial.seconds for trial in trials)
        self._began = time.monotonic()
        self.started = time.time()
        """When the run began, in seconds since 1970."""

    @property
    def seconds(self) -> float:
        """Seconds over all runs of the study."""
        return self._before + time.monotonic() - self._began

    def pause(self, seconds: float) -> None:
        """Wait without counting.

        Args:
            seconds: How long.
        """
        before = time.monotonic()
        time.sleep(seconds)
        self._began += time.monotonic() - before
