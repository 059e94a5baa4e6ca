"""Parts one after the other, each a process with seconds of its own; none can stop the next."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from _gpu import ROOT, Setting
from _gpu_family import adopt, end_family
from _gpu_sheet import Sheet

__all__ = ["Part", "Plan", "run"]

LOOK = 0.1
END = 4.0
"""Seconds that are left at the end for killing, writing and deleting."""
TOLD = 2000
"""So many characters of what a part printed are shown where it gave no figure."""


@dataclass(frozen=True)
class Part:
    """One measurement.

    Args:
        name: Of it, and of the function that does it.
        seconds: How long it may take.
        tiny: The same where a few images are enough.
        tells: What its table holds, for people.
        seeds: Of how many seeds that is; 0 where it has none.
        grows: Whether it takes what the others leave, more or less than its seconds.
        first: Whether the others are of no use where it fails, so that it may take longer.
        wanted: Whether the script fails where it gave no figure.
    """

    name: str
    seconds: float
    tiny: float
    tells: str = ""
    seeds: int = 1
    grows: bool = False
    first: bool = False
    wanted: bool = True


@dataclass(frozen=True)
class Plan:
    """The parts of a script.

    Args:
        name: Of the script.
        parts: In their order; the last one ends, at the latest, when the seconds of all are over.
    """

    name: str
    parts: Sequence[Part]


class _StoppedError(BaseException):
    """A signal ends the script."""


Start = Callable[[Setting], "subprocess.Popen[bytes]"]


def run(
    plan: Plan,
    output: Path,
    *,
    tiny: float,
    begun: float,
    start: Start = lambda setting: setting.started(setting.part),
) -> int:
    """Do all parts; returns the exit code.

    Args:
        plan: The parts.
        output: The folder for the figures; nothing else is left there.
        tiny: Whether a few images are enough: so many times the seconds that are meant for them; 0 if not.
        begun: When the script began, on the monotonic clock.
        start: Starts the process of a part.
    """
    adopt()
    for kind in _KINDS:
        signal.signal(kind, _stop)
    work = Path(tempfile.mkdtemp(prefix="hpsearch-gpu-"))
    sheet = Sheet(plan.name, {part.name: (part.tells, part.seeds) for part in plan.parts}, output, work, bool(tiny))
    try:
        return _all(plan, sheet, work, tiny, begun, start)
    except _StoppedError as stopped:
        sheet.ended("stopped")
        return 128 + int(stopped.args[0])
    finally:
        end_family()
        shutil.rmtree(work, ignore_errors=True)


def _all(plan: Plan, sheet: Sheet, work: Path, tiny: float, begun: float, start: Start) -> int:
    missing = []
    limits = [part.tiny * tiny or part.seconds for part in plan.parts]
    for place, (part, limit) in enumerate(zip(plan.parts, limits, strict=True)):
        # What comes later keeps its seconds, but for a part that takes what there is.
        later = zip(plan.parts[place + 1 :], limits[place + 1 :], strict=True)
        last = begun + sum(limits) - END - sum(seconds for each, seconds in later if not each.grows)
        deadline = last if part.grows or part.first else min(last, time.monotonic() + limit)
        sheet.begins(part.name, deadline - time.monotonic())
        sheet.ended(_done(Setting(plan.name, part.name, work, deadline, bool(tiny)), sheet, start))
        if part.wanted and not sheet.rows(part.name):
            missing.append(part.name)
        if part.first and sheet.failed(part.name):
            missing.append(part.name)
            break
    sheet.over(time.monotonic() - begun)
    return 1 if missing else 0


def _done(setting: Setting, sheet: Sheet, start: Start) -> str:
    """Do a part, and say how it ended; what it says meanwhile is written at once."""
    process = start(setting)
    try:
        while process.poll() is None and setting.left() > 0:
            sheet.take()
            time.sleep(LOOK)
        code = process.poll()
    finally:
        end_family()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        sheet.take()
    if code is None:
        return "out of time"
    return "whole" if code == 0 else f"failed: {_why(setting.work / 'log.txt')}"


def _why(log: Path) -> str:
    """The last words of a part, without the folders of this machine."""
    said = log.read_text(encoding="utf-8", errors="replace").strip() if log.exists() else ""
    print(said[-TOLD:])  # noqa: T201  # for whoever looks for the fault
    for folder in (log.parent, ROOT):
        said = said.replace(str(folder), folder.name)
    return (said.splitlines() or ["it said nothing"])[-1][:300]


_KINDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _stop(kind: int, _: Any) -> NoReturn:
    for each in _KINDS:
        signal.signal(each, signal.SIG_IGN)  # what follows is to be done to its end
    raise _StoppedError(kind)
