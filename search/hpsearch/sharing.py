"""How many processes train on a device at a time, where that is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from hpsearch.errands import Rate, Rated, Warm
from hpsearch.errors import RunError
from hpsearch.executors.base import Died, Slot
from hpsearch.executors.devices import cores, slots_for
from hpsearch.executors.local import LocalExecutor
from hpsearch.messages import Go, Refused, Setup
from hpsearch.running import refusal

__all__ = ["Pace", "PerDevice", "pace_of", "slots_of"]

PerDevice = int | Literal["auto"]

SECONDS = 6.0
"""How long each number is measured, once everything is compiled."""
MOST = 16
GAIN = 1.1
"""So many times as many trials have to be trained for more processes to be worth it: each takes memory, too."""


def slots_of(setup: Setup, devices: str | None, per_device: PerDevice, tell: Callable[[str], None]) -> tuple[Slot, ...]:
    """The places where trials are trained.

    Args:
        setup: What workers load.
        devices: ``cpu``, ``all``, or numbers of GPUs; None is every GPU, or else the CPU.
        per_device: How many processes train on each device; ``"auto"`` measures that on the first one.
        tell: Told what is measured, sentence by sentence.

    Raises:
        HpsearchError: There is no such device, or space or data cannot be used.
    """
    return slots_for(devices, _measured(setup, devices, tell) if per_device == "auto" else per_device)


def _measured(setup: Setup, devices: str | None, tell: Callable[[str], None]) -> int:
    (first, *_) = slots_for(devices)
    most = min(cores(), MOST) if first.device == "cpu" else MOST
    tell(f"Measuring how many trials at a time are trained fastest on {first.device} ...")
    best, number, once = 0.0, 1, 0.0
    tried = 1
    while tried <= most:
        found = pace_of(setup, [slot for slot in slots_for(devices, tried) if slot.device == first.device])
        if found is None:
            tell(f"{tried} at a time do not fit.")
            break
        once = once or found.hourly
        more = f", {found.hourly / once:.2f} times as many" if tried > 1 else ""
        tell(f"{tried} at a time: {found.hourly:,.0f} trials an hour ({found.rows:,.0f} rows a second){more}.")
        if found.hourly < GAIN * best:
            break
        best, number, tried = found.hourly, tried, 2 * tried
    tell(f"{number} at a time it is; --per-device {number} says so without measuring.")
    return number


@dataclass(frozen=True)
class Pace:
    """What several processes do in all.

    Args:
        rows: Rows a second, such as images, while they train.
        hourly: Trials an hour, each of all its epochs, with what is built and compiled for it.
    """

    rows: float
    hourly: float


def pace_of(setup: Setup, slots: Sequence[Slot]) -> Pace | None:
    """What processes do that train the same network at the same time; None where several do not fit.

    Args:
        setup: What they load.
        slots: A place for each.

    Raises:
        HpsearchError: One alone cannot train.
    """
    executor = LocalExecutor(Rate(setup, SECONDS), slots)
    warm: set[int] = set()
    rated: dict[int, Rated] = {}
    try:
        for slot in range(len(slots)):
            executor.start(slot)
        while len(rated) < len(slots):
            for heard in executor.listen(60.0):
                match heard.message:
                    case Warm():
                        warm.add(heard.slot)
                        if len(warm) == len(slots):
                            for slot in range(len(slots)):
                                executor.send(slot, Go())
                    case Rated():
                        rated[heard.slot] = heard.message
                    case Died() if heard.slot in rated:
                        pass  # it has said all, and ends
                    case Refused() | Died() if len(slots) > 1:
                        return None
                    case Refused():
                        raise refusal(heard.message)
                    case Died():
                        raise RunError(f"The worker on {slots[0].device} cannot train: {heard.message.sentence}")
    finally:
        executor.close()
    return Pace(sum(each.rows for each in rated.values()), sum(3600 / each.trial for each in rated.values()))
