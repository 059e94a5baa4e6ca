"""What every run needs, be it a search or finals: its first worker, signals, a disk that cannot be written."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from hpsearch.coordinator.loop import Coordinator
from hpsearch.errors import HpsearchError, InputError, RunError
from hpsearch.events import Patient, Watcher
from hpsearch.executors.base import Died, WorkerDied
from hpsearch.executors.local import LocalExecutor
from hpsearch.messages import Ready, Refused
from hpsearch.space import Objective
from hpsearch.strategies.base import Strategy
from hpsearch.strategies.database import StorageError
from hpsearch.study.folder import StudyFolder
from hpsearch.study.room import LITTLE, has_room, written
from hpsearch.study.trial import Trial

__all__ = ["Show", "first_ready", "heeding_signals", "opened", "refusal", "writing_record"]

Show = Callable[[Objective, Trial | None], AbstractContextManager[Watcher]]
"""Opens whatever shows a run: gets the objective, and the best trial so far where the study goes on from earlier."""


def opened(folder: StudyFolder, open_: Callable[[], Strategy]) -> Strategy:
    """Open the storage, and once more where the disk was full for a moment.

    Args:
        folder: The study.
        open_: Opens it.

    Raises:
        RunError: The disk still is full.
    """

    def check(full: Exception) -> None:
        if not has_room(folder.path, LITTLE):
            raise RunError(
                f"The disk that holds {folder.path} is full; make room, then the same command goes on from here."
            ) from full

    return written(folder.path, open_, check)


def first_ready(executor: LocalExecutor) -> Ready:
    """What the first worker found in the space and the data.

    Args:
        executor: Where a worker was started.

    Raises:
        HpsearchError: It could not load them, for the reason said.
        WorkerDied: It ended without a word.
    """
    while True:
        for heard in executor.listen(60.0):
            if isinstance(heard.message, Ready):
                return heard.message
            if isinstance(heard.message, Refused):
                raise refusal(heard.message)
            if isinstance(heard.message, Died):
                raise WorkerDied(heard.message.sentence)


def refusal(answer: Refused) -> HpsearchError:
    """The error that a worker's refusal stands for.

    Args:
        answer: What it said.
    """
    return InputError(answer.sentence) if answer.exit_code == InputError.exit_code else RunError(answer.sentence)


@contextmanager
def heeding_signals(coordinator: Coordinator, watcher: Patient) -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or SIGHUP stops after the step, the second at once.

    Args:
        coordinator: What is stopped.
        watcher: Who is told.
    """

    def stop(number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            watcher.alone = True  # the terminal is gone, and with it whatever would be shown there
        coordinator.stop("by " + signal.Signals(number).name)

    kinds = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup, which says what is wanted
        kinds.append(signal.SIGHUP)
    before = [signal.signal(kind, stop) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


@contextmanager
def writing_record(folder: StudyFolder) -> Iterator[None]:
    """Say in a sentence that the record cannot be written.

    Args:
        folder: The study.

    Raises:
        RunError: It cannot.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads what the command prints any more
    except (OSError, StorageError) as error:
        folder.check_held()
        if not folder.database.exists() and any(folder.path.glob("trials/*")):  # not where it was yet to be made
            raise RunError(
                f"{folder.database} was removed or moved while this run wrote to it; put it back, and the same command "
                "goes on."
            ) from error
        raise RunError(
            f"The record in {folder.path} cannot be written: {_first_cause(error)}. The same command goes on from here."
        ) from error


def _first_cause(error: BaseException) -> str:
    """What the system or SQLite said, below what Optuna and SQLAlchemy made of it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(getattr(error, "orig", None) or error).split()).rstrip(".")
