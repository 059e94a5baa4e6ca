"""The workers of a run, one a slot: started when there is something to do, watched, replaced, ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from hpsearch.executors.base import Executor, Heard

__all__ = ["Crew", "Lapse", "Place"]

TRIALS_A_WORKER = 40
"""After so many trials a worker is replaced: TensorFlow keeps some memory of every model."""
GROWTH = 1_500_000_000
"""A worker whose resident memory has grown by so many bytes since it was ready is replaced."""
STOPPED_FOR = 10.0
"""A worker that a signal stopped and nobody continued for so many seconds is given up."""
GAP = 5.0
"""A loop that took so many seconds longer than it should was not running itself: the whole group was suspended."""

State = Literal["off", "starting", "idle", "training"]


@dataclass
class Place:
    """A slot and what its worker is doing.

    Args:
        slot: The number of the slot.
        state: ``off`` without a worker, ``starting`` until it is ready.
        sign: When it last gave a sign of life, on the monotonic clock.
        trained: Trials that this worker trained.
        memory: Its resident bytes when it was ready.
        stopped: Since when a signal has it stopped, or None.
    """

    slot: int
    state: State = "off"
    sign: float = 0.0
    trained: int = 0
    memory: int = 0
    stopped: float | None = None


@dataclass(frozen=True)
class Lapse:
    """A worker that does not go on by itself.

    Args:
        slot: The number of its slot.
        reason: What is wrong with it, in a few words.
    """

    slot: int
    reason: str


class Crew:
    """Keeps the workers of an executor.

    Args:
        executor: Where they run; the first slot may be ready already.
        hang_timeout: Seconds without a sign of life after which a worker is given up.
        ready: Slots whose worker is ready.
    """

    def __init__(self, executor: Executor, hang_timeout: float, ready: tuple[int, ...] = ()) -> None:
        self.executor = executor
        self.hang_timeout = hang_timeout
        self.places = [Place(slot.number) for slot in executor.slots]
        self._waited = time.monotonic()
        for number in ready:
            self.became_ready(number)

    def with_state(self, state: State) -> list[Place]:
        """The places whose workers are in this state."""
        return [place for place in self.places if place.state == state]

    def start(self, slot: int) -> None:
        """Start a worker in a slot, in place of the one there."""
        self.places[slot] = Place(slot, "starting", time.monotonic())
        self.executor.start(slot)

    def became_ready(self, slot: int) -> None:
        """The worker of a slot has loaded space and data."""
        health = self.executor.health(slot)
        self.places[slot] = Place(slot, "idle", time.monotonic(), memory=health.memory)

    def took(self, slot: int) -> None:
        """The worker of a slot was given a trial."""
        place = self.places[slot]
        place.state, place.sign = "training", time.monotonic()
        place.trained += 1

    def gave_back(self, slot: int) -> None:
        """The trial of a slot has ended; a worker that trained many or has grown is let go."""
        place = self.places[slot]
        place.state = "idle"
        grown = self.executor.health(slot).memory - place.memory
        if place.trained >= TRIALS_A_WORKER or grown > GROWTH:
            self.let_go(slot)

    def let_go(self, slot: int) -> None:
        """End the worker of a slot; another is started when there is something to do."""
        self.executor.kill(slot)
        self.places[slot] = Place(slot)

    def lost(self, slot: int) -> None:
        """The worker of a slot is gone."""
        self.places[slot] = Place(slot)

    def listen(self, seconds: float) -> list[Heard]:
        """What the workers say.

        Args:
            seconds: How long to wait at most.
        """
        # What was done since the last wait, such as a pause for room on the disk, is no silence of the workers. Nor is
        # a wait that took far longer than it should: then the terminal had suspended us all.
        before = time.monotonic()
        self._excuse_all(before - self._waited)
        heard = self.executor.listen(seconds)
        self._waited = time.monotonic()
        self._excuse_all(self._waited - before - seconds)
        for each in heard:
            self.places[each.slot].sign = self._waited
        return heard

    def _excuse_all(self, gap: float) -> None:
        if gap > GAP:
            for place in self.places:
                place.sign += gap
                place.stopped = None

    def lapses(self) -> list[Lapse]:
        """The workers that hang, or that a signal stopped and nobody continues."""
        now = time.monotonic()
        found: list[Lapse] = []
        for place in self.with_state("training") + self.with_state("starting"):
            if self.executor.health(place.slot).stopped:
                place.stopped = place.stopped or now
                if now - place.stopped >= min(STOPPED_FOR, self.hang_timeout):
                    found.append(Lapse(place.slot, "a signal stopped it and nobody continued it"))
                continue
            place.stopped = None
            if now - place.sign > self.hang_timeout:
                found.append(Lapse(place.slot, f"it gave no sign of life for {self.hang_timeout:.0f} s"))
        return found

    def excuse(self, slot: int) -> None:
        """A worker that waits for us is not silent."""
        self.places[slot].sign = time.monotonic()
