"""Processes that end with whoever started them, and leave nothing behind. It needs Linux."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["adopt", "age", "end_family", "ending"]

SECONDS = 5.0
"""So long a process that was killed may take to be gone."""
LATE = 2.0
"""So long after its deadline a process ends itself, where nobody ended it."""
LOOK = 0.1
YOUNG = 60.0
"""Who asks for its age is younger; systems within systems may count from another moment."""
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>


def adopt() -> None:
    """Become the parent of whatever processes below this one lose theirs, so that they can be found."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def age() -> float:
    """Seconds since this process began, as the system counts them: also as the shell that it took the place of."""
    ticks = int(_stat("self")[19])
    seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return seconds if 0 <= seconds < YOUNG else 0.0


def end_family() -> None:
    """Kill all processes below this one."""
    last = time.monotonic() + SECONDS
    while (found := _below(os.getpid())) and time.monotonic() < last:
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


@contextlib.contextmanager
def ending(parent: int, deadline: float, work: Path | None) -> Iterator[None]:
    """While this lasts, end this process and all below it when its parent is gone, or ought to have ended it.

    Args:
        parent: The process that started this one.
        deadline: On the monotonic clock.
        work: The folder of the parent, which goes with it; None leaves that to others.
    """
    adopt()
    over, halted = threading.Event(), threading.Event()

    def halt(*_: object) -> None:
        halted.set()
        time.sleep(2 * SECONDS)

    signal.signal(signal.SIGUSR1, halt)
    main = threading.get_ident()

    def watch() -> None:
        while os.getppid() == parent and time.monotonic() < deadline + LATE:
            if over.wait(LOOK):
                return
        # What this process does must neither start others now nor end before all is done.
        signal.pthread_kill(main, signal.SIGUSR1)
        halted.wait(1.0)
        end_family()
        if work is not None and os.getppid() != parent:
            shutil.rmtree(work, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch).start()
    try:
        yield
    finally:
        if os.getppid() == parent:
            over.set()


def _below(process: int) -> list[int]:
    """The processes below one, those left out that have ended and wait to be asked how."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent, *_ = _stat(folder.name)
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(folder.name))
    found, open_ = [], [process]
    while open_:
        more = children.get(open_.pop(), [])
        found += more
        open_ += more
    return found


def _stat(process: str) -> list[str]:
    """What the system says of a process, from its state on; its name before that may hold anything."""
    return Path("/proc", process, "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
