"""What a run writes for others to see while it goes on: ``run.json`` in the folder of the study."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hpsearch.study.atomic import read_json, write_json
from hpsearch.study.folder import StudyFolder

__all__ = ["Live", "LiveSlot", "RunState", "read_live", "write_live"]

RunState = Literal["starting", "running", "paused", "stopping", "ended"]


@dataclass
class LiveSlot:
    """What one slot does.

    Args:
        device: What it trains on, such as ``cpu`` or ``gpu 0``.
        pid: The process of its worker, or None.
        trial: The trial it trains, or None.
        name: What people call that trial.
        epoch: The epoch in progress, from 1; 0 before the first.
        epochs: The most epochs of the trial.
        step: Steps done in that epoch, or None where that is not known.
        steps: Steps of an epoch, or None where that is not known.
        started: When the slot took up the trial, in seconds since 1970.
        score: The best score of the trial so far, or None.
    """

    device: str
    pid: int | None = None
    trial: int | None = None
    name: str = ""
    epoch: int = 0
    epochs: int = 0
    step: int | None = None
    steps: int | None = None
    started: float = 0.0
    score: float | None = None


@dataclass
class Live:
    """How a run is doing, or how the last one ended.

    Args:
        pid: The process of the coordinator.
        host: Its machine.
        boot: The boot of that machine, as ``study.lock.boot_id`` gives it.
        started: When the run began, in seconds since 1970.
        updated: When this was written, in seconds since 1970.
        seconds: On the clock, over all runs of the study, up to ``updated``.
        state: What the run does.
        note: Why: what it waits for, how it ended.
        slots: What is trained where.
        most_seconds: The budget of time of the study, or None.
        most_trials: The budget of trials of the study, or None.
    """

    pid: int
    host: str
    boot: str
    started: float
    updated: float
    seconds: float
    state: RunState
    note: str = ""
    slots: list[LiveSlot] = field(default_factory=list)
    most_seconds: float | None = None
    most_trials: int | None = None


def _file(study: StudyFolder) -> Path:
    return study.path / "run.json"


def write_live(study: StudyFolder, live: Live, *, sync: bool = False) -> None:
    """Say how the run is doing, atomically.

    Args:
        study: The study.
        live: How it is doing.
        sync: Whether this must outlive a loss of power, as at the end of a run.

    Raises:
        OSError: It cannot be written, as on a full disk; what was said before stands.
    """
    write_json(_file(study), _without_nan(dataclasses.asdict(live)), sync=sync)


def read_live(study: StudyFolder) -> Live | None:
    """What a run said last; whether it still runs is what ``study.held`` knows.

    Args:
        study: The study.

    Returns:
        None where no run said anything or where it cannot be read.
    """
    try:
        said = read_json(_file(study))
        live: Live = _made(Live, said)
        live.slots = [_made(LiveSlot, slot) for slot in said["slots"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    times = (live.started, live.updated, live.seconds)
    sound = all(isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 for value in times)
    return live if sound and isinstance(live.note, str) and isinstance(live.state, str) else None


def _made(cls: Any, values: dict[str, Any]) -> Any:
    """An object from its record; what a later version adds to it is passed over."""
    known = {one.name for one in dataclasses.fields(cls)}
    return cls(**{name: value for name, value in values.items() if name in known})


def _without_nan(value: Any) -> Any:
    """JSON knows no not-a-number; a score that is none is none."""
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
