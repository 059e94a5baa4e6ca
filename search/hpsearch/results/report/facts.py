"""What a report tells, read from the files of a study; the database is never opened, and nothing is written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from shlex import quote

from hpsearch.results.examples import examples
from hpsearch.results.finals import Finals, read_finals
from hpsearch.results.intervals import Bounds, apart
from hpsearch.results.leaderboard import Row, counts
from hpsearch.results.report.exported import Exported, read_exported
from hpsearch.study.folder import StudyFolder, StudyInfo
from hpsearch.study.live import Live, read_live
from hpsearch.study.trial import Epoch, Trial

__all__ = ["Curve", "Facts", "Moment", "read_facts"]

CURVES, HAND_MADE = 5, 3
"""So many of the best trials show how they learned, and so many of the best hand-made networks."""


@dataclass(frozen=True)
class Moment:
    """The end of a trial.

    Args:
        hours: Of training, breaks between two runs left out, from the start of the study.
        row: The trial.
        best: The best score of the search so far, or None while there is none.
    """

    hours: float
    row: Row
    best: float | None


@dataclass(frozen=True)
class Curve:
    """How a trial learned.

    Args:
        row: The trial.
        epochs: Its history.
    """

    row: Row
    epochs: Sequence[Epoch]


@dataclass(frozen=True)
class Facts:
    """A study as a report tells it.

    Args:
        folder: The study.
        info: Who it is.
        rows: Its trials, the best first; repeats are left out.
        curves: Of the best trials and of the best hand-made ones.
        finals: What came of training the best again, or None.
        live: What the last run said of itself, or None.
        running: Whether a run goes on.
        go_on: The command that goes on with the study.
        options: What a command has to say to find this study: ``--study digits``.
        exported: The network that was exported, and what it scores on the test part; None where there is none.
    """

    folder: StudyFolder
    info: StudyInfo
    rows: Sequence[Row]
    curves: Sequence[Curve]
    finals: Finals | None
    live: Live | None
    running: bool
    go_on: str
    options: str
    exported: Exported | None = None

    @property
    def metric(self) -> str:
        """What is judged, such as ``val_accuracy``."""
        return self.info.objective.partition(" ")[2]

    @property
    def maximize(self) -> bool:
        """Whether more of it is better."""
        return self.info.objective.startswith("max")

    @property
    def examples(self) -> str:
        """What its data is made of: ``images`` or ``rows``."""
        return examples(self.info)

    @cached_property
    def ranked(self) -> list[Row]:
        """The trials with a score, the best first."""
        return [row for row in self.rows if row.rank is not None]

    @property
    def best(self) -> Row | None:
        """The best trial of all."""
        return self.ranked[0] if self.ranked else None

    @cached_property
    def chosen(self) -> Row | None:
        """What would be exported: the best of the finals, or the best of the search while there are none."""
        number = self.finals.chosen if self.finals is not None else None
        return next((row for row in self.rows if row.trial.number == number), self.best)

    @property
    def judged(self) -> Finals | None:
        """The finals, where they have found something so far."""
        best = self.finals.finalist(self.finals.chosen) if self.finals is not None else None
        return self.finals if best is not None and best.mean is not None else None

    @cached_property
    def found(self) -> Row | None:
        """The best trial that the search found."""
        return next((row for row in self.ranked if not row.trial.baseline), None)

    @cached_property
    def hand_made(self) -> Row | None:
        """The best hand-made network."""
        return next((row for row in self.ranked if row.trial.baseline), None)

    @property
    def gain(self) -> float | None:
        """By how much the search is better than the best hand-made network; below 0 where it is worse."""
        if self.found is None or self.hand_made is None:
            return None
        difference = (self.found.validation or 0.0) - (self.hand_made.validation or 0.0)
        return difference if self.maximize else -difference

    @cached_property
    def failures(self) -> list[Row]:
        """The trials that failed, or that could not be trained, by number."""
        failed = (row for row in self.rows if row.trial.failure and row.trial.state != "RUNNING")  # who waits goes on
        return sorted(failed, key=lambda row: row.trial.number)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Trials by state, failures by kind."""
        return counts(self.rows)

    @property
    def seconds(self) -> float:
        """On the clock, over all runs."""
        return self.live.seconds if self.live is not None else self.moments[-1].hours * 3600 if self.moments else 0.0

    @cached_property
    def moments(self) -> list[Moment]:
        """The ends of the trials with a score, in the order of time."""
        ended = sorted(
            (row for row in self.ranked if row.trial.finished is not None),
            key=lambda row: (row.trial.finished or 0.0, row.trial.number),
        )
        clock = _Clock([row.trial for row in self.rows])
        found: list[Moment] = []
        best: float | None = None
        for row in ended:
            value = row.validation
            if not row.trial.baseline and value is not None and (best is None or self.better(value, best)):
                best = value
            found.append(Moment(clock.hours(row.trial.finished or 0.0), row, best))
        return found

    def better(self, one: float, other: float) -> bool:
        """Whether a score is better than another.

        Args:
            one: A score.
            other: Another.
        """
        return one > other if self.maximize else one < other

    @cached_property
    def gain_bounds(self) -> Bounds | None:
        """The interval of `gain` that comes of the number of validation images alone; None where that is not known."""
        one, other = self.found, self.hand_made
        if one is None or other is None or one.bounds is None or other.bounds is None:
            return None
        assert one.validation is not None and other.validation is not None  # noqa: PT018  # they are ranked
        low, high = apart(one.validation, one.bounds, other.validation, other.bounds)
        return (low, high) if self.maximize else (-high, -low)


@dataclass
class _Clock:
    """Time that counts: whatever trial trains, and not the days between two runs.

    Args:
        trials: All trials.
    """

    trials: Sequence[Trial]
    _spans: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Join the spans in which trials trained."""
        said = sorted((t.started, t.finished) for t in self.trials if t.finished is not None and t.started > 0)
        joined: list[list[float]] = []
        for start, end in said:
            if joined and start <= joined[-1][1]:
                joined[-1][1] = max(joined[-1][1], end)
            else:
                joined.append([start, end])
        before = itertools.accumulate((end - start for start, end in joined), initial=0.0)
        self._spans = [(start, end, seconds) for (start, end), seconds in zip(joined, before, strict=False)]

    def hours(self, moment: float) -> float:
        """Hours of training before a moment.

        Args:
            moment: Seconds since 1970.
        """
        found = 0.0
        for start, end, before in self._spans:
            if start > moment:
                break
            found = before + min(moment, end) - start
        return found / 3600


def read_facts(folder: StudyFolder, rows: Sequence[Row], *, running: bool, go_on: str, results: Path) -> Facts:
    """Read what a report tells beside the leaderboard.

    Args:
        folder: The study.
        rows: Its leaderboard.
        running: Whether a run goes on.
        go_on: The command that goes on with it.
        results: The folder that holds the studies, as the user calls it.

    Raises:
        StudyError: Its record is damaged.
    """
    options = f"--study {folder.name}" + (f" --results {quote(str(results))}" if str(results) != "results" else "")
    curves, finals, live = _curves(folder, rows), read_finals(folder), read_live(folder)
    info = folder.info()
    exported = read_exported(folder, info, results)
    return Facts(folder, info, rows, curves, finals, live, running, go_on, options, exported)


def _curves(folder: StudyFolder, rows: Sequence[Row]) -> list[Curve]:
    scored = [row for row in rows if row.rank is not None]
    found = [row for row in scored if not row.trial.baseline][:CURVES]
    made = [row for row in scored if row.trial.baseline][:HAND_MADE]
    curves = [Curve(row, folder.trial(row.trial.number).history()) for row in [*found, *made]]
    return [curve for curve in curves if curve.epochs]
