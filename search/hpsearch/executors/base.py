"""What the coordinator needs of whatever runs workers: slots, each with a device and at most one worker at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from hpsearch.errors import RunError

__all__ = ["Died", "Executor", "Health", "Heard", "Slot", "WorkerDied"]


class WorkerDied(RunError):
    """A worker ended without a word."""


@dataclass(frozen=True)
class Slot:
    """A place where one trial at a time is trained.

    Args:
        number: From 0.
        device: What people call its device: ``cpu``, ``gpu 0``.
        environment: Variables that make a worker see this device and no other, and its share of it.
        shared: Whether other slots use the same device.
    """

    number: int
    device: str
    environment: tuple[tuple[str, str], ...] = ()
    shared: bool = False


@dataclass(frozen=True)
class Died:
    """A worker ended without a word.

    Args:
        sentence: How, for people.
        signal: The signal that ended it, or None.
        out_of_memory: Whether the system ended it for want of memory, as far as the system says so.
    """

    sentence: str
    signal: int | None = None
    out_of_memory: bool = False


@dataclass(frozen=True)
class Heard:
    """What came from a slot: a message of its worker, or that it died.

    Args:
        slot: The number of the slot.
        message: One of ``hpsearch.messages``, or `Died`.
    """

    slot: int
    message: Any


@dataclass(frozen=True)
class Health:
    """What the system says about a worker.

    Args:
        pid: Its process, or None where that means nothing here.
        alive: Whether it runs.
        stopped: Whether it was stopped by a signal (SIGSTOP, a debugger) and does not run on by itself.
        memory: Resident bytes; 0 where that is not known.
    """

    pid: int | None
    alive: bool
    stopped: bool
    memory: int


class Executor(Protocol):
    """Runs workers; its methods are called from one thread only, but for `wake`."""

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The places where trials are trained; fixed."""
        ...

    def start(self, slot: int) -> None:
        """Start the worker of a slot, in place of the one there; it begins by saying ``Ready`` or ``Refused``.

        Args:
            slot: The number of the slot.
        """
        ...

    def send(self, slot: int, message: Any) -> None:
        """Say something to the worker of a slot; to a dead one it is lost, and `listen` says that it died.

        Args:
            slot: The number of the slot.
            message: One of ``hpsearch.messages``.
        """
        ...

    def listen(self, seconds: float) -> list[Heard]:
        """Wait for messages.

        Args:
            seconds: How long at most; 0 only looks.

        Returns:
            What came, in order for each slot; empty where nothing came in time or `wake` was called.
        """
        ...

    def health(self, slot: int) -> Health:
        """What the system says about the worker of a slot.

        Args:
            slot: The number of the slot.
        """
        ...

    def kill(self, slot: int) -> None:
        """End the worker of a slot at once, whatever it does; it is then gone for good, and nothing is heard of it.

        Args:
            slot: The number of the slot.
        """
        ...

    def wake(self) -> None:
        """Make a `listen` that waits, or the next one, return; may be called from a signal handler."""
        ...

    def close(self) -> None:
        """End all workers; none is left behind."""
        ...
