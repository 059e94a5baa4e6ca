"""A fault at each write to disk of a small study: the process is killed there, or the disk is full for that once."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from _night import Job, Run
from _record import Kept, Watch, differing

__all__ = ["Point", "Writes"]

INJECTED = Path(__file__).resolve().parent / "_injected"
_LOGS = "counted"


@dataclass(frozen=True)
class Point:
    """A write, and what is to happen at it.

    Args:
        role: Who writes: ``coordinator`` or ``worker``.
        number: Which of its writes, from 1.
        what: What is written, in words.
        mode: ``kill`` before it, ``torn``: kill with half of it written, or ``full``.
    """

    role: str
    number: int
    what: str
    mode: str

    def __str__(self) -> str:
        return f"{self.mode} at write {self.number} of the {self.role} ({self.what})"


@dataclass
class Writes:
    """A study whose writes are disturbed one by one.

    Args:
        job: The study; each fault gets one of its own from it.
        folder: For what is noted.
        say: Told about every fault.
    """

    job: Job
    folder: Path
    say: Callable[[Point], object] = repr
    points: list[Point] = field(default_factory=list)
    """Every write with everything that may happen at it."""
    expected: Mapping[int, Kept] = field(default_factory=dict)
    """What the study gives when nobody disturbs it."""
    broken: list[str] = field(default_factory=list)
    lost: int = 0
    twice: int = 0
    differing: int = 0
    orphans: int = 0
    refused: int = 0
    """How many studies could not be begun because the disk was full at that moment, and said so."""
    tried: dict[str, int] = field(default_factory=dict)
    """How many faults of each kind happened."""

    def count(self) -> None:
        """Find the writes of an undisturbed study.

        Raises:
            RuntimeError: It does not end well.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for role in ("coordinator", "worker"):
            job = replace(self.job, study=f"{_LOGS}-{role}")
            log = self.folder / f"{role}.txt"
            run = Run(job, self._plan(job, role=role, mode="count", log=str(log)), INJECTED)
            try:
                if run.end() != 0:
                    raise RuntimeError(f"the undisturbed study did not end well: {run.errors}")
            finally:
                run.close()
            self.expected = Watch(job.folder).look()
            shutil.rmtree(job.folder)
            for number, what in enumerate(log.read_text(encoding="utf-8").splitlines(), start=1):
                self.points += [Point(role, number, what, mode) for mode in _modes(what)]

    def _plan(self, job: Job, **plan: object) -> dict[str, str]:
        return {"HPSEARCH_WRITE_FAULT": json.dumps({"under": str(job.folder), "number": 0, **plan})}

    def some(self, number: int, dice: random.Random) -> list[Point]:
        """A sample of the points, of every role and kind alike.

        Args:
            number: How many.
            dice: Where it comes from.
        """
        left = list(self.points)
        dice.shuffle(left)
        found: list[Point] = []
        while left and len(found) < number:
            for role, mode in ((r, m) for r in ("coordinator", "worker") for m in ("kill", "torn", "full")):
                point = next((p for p in left if (p.role, p.mode) == (role, mode)), None)
                if point is not None and len(found) < number:
                    left.remove(point)
                    found.append(point)
        return found

    def disturb(self, point: Point) -> None:
        """Let it happen in a study of its own, go on with the same command, and look at what was lost."""
        job = replace(self.job, study=f"{point.mode}-{point.role}-{point.number}")
        fired = self.folder / f"fired-{job.study}"
        plan = self._plan(job, role=point.role, mode=point.mode, number=point.number, fired=str(fired))
        watch = Watch(job.folder)
        wrong = self._disturbed_run(job, point, plan, watch)
        if not fired.exists():
            wrong.append("the write did not come")
        wrong += watch.lost + watch.twice + watch.damaged
        if not wrong:
            wrong = watch.finished(self.job.trials)
            other = differing(self.expected, watch.look())
            self.differing += len(other)
            wrong += other
        self.lost += len(watch.lost)
        self.twice += len(watch.twice)
        self.tried[point.mode] = self.tried.get(point.mode, 0) + fired.exists()
        if wrong:
            self.broken.append(f"{point}: {'; '.join(wrong)}")
        else:
            shutil.rmtree(job.folder)  # what went wrong stays, to be looked at
        self.say(point)

    def _disturbed_run(self, job: Job, point: Point, plan: dict[str, str], watch: Watch) -> list[str]:
        """The run that is disturbed and, where that ends it, the one after it; what went wrong."""
        code, errors, wrong = self._one_run(Run(job, plan, INJECTED), watch)
        # A worker that is killed, or a disk that is full for a moment, does not end a run; but one that is full while
        # the study is being begun may keep it from beginning.
        if point.role == "coordinator" and point.mode != "full":
            if code != -9:
                return [*wrong, f"it should have been killed: exit code {code}, {errors}"]
        elif code != 0 and not watch.look() and re.fullmatch(r"Error: .*(No space left|disk is full).*", errors):
            self.refused += 1
        else:
            return wrong if code == 0 else [*wrong, f"exit code {code}: {errors}"]
        code, errors, more = self._one_run(Run(job), watch)
        return wrong + more if code == 0 else [*wrong, *more, f"the same command ended with exit code {code}: {errors}"]

    def _one_run(self, run: Run, watch: Watch) -> tuple[int | None, str, list[str]]:
        try:
            code = run.end()
            watch.look()
            orphans, _ = run.orphans()
            self.orphans += orphans
            return code, run.errors.strip(), [f"{orphans} processes outlived it"] if orphans else []
        finally:
            run.close()


def _modes(what: str) -> tuple[str, ...]:
    """What may happen at a write; to make a file durable changes nothing that a kill could cut off."""
    kind = what.split()[0]
    if kind == "fsync":
        return ("full",)
    if kind in ("write", "commit"):
        return ("kill", "torn", "full")
    return ("kill",) if kind in ("delete", "truncate", "rename") else ("kill", "full")
