"""Kills at random moments: what is killed, when, what it cost, and what it must never cost."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from _night import TRAINING, Job, Line, Run
from _record import Kept, Watch, checkpoint_epochs

__all__ = ["FAULTS", "Fault", "Kill", "Night", "reference"]

EARLY = 0.2
"""The share of the kills that come while a run is starting."""
STARTING = 6.0
"""Seconds within which those come."""
TRAINING_FOR = 3.0
"""Seconds of training within which the others come."""
STOPS_WITHIN = 30.0
"""Seconds that a run may take to stop in good order."""
_NEVER = "(?!)"  # no line is like this: only the time passes, or the run ends


@dataclass(frozen=True)
class Fault:
    """Something that happens to a run.

    Args:
        name: What people call it.
        weight: How often it comes, compared with the others.
        ends: Whether the coordinator ends; otherwise the run goes on by itself.
        orderly: Whether the run is to stop in good order.
        silent: Whether training goes on without a word.
    """

    name: str
    weight: int
    ends: bool = True
    orderly: bool = False
    silent: bool = False


FAULTS = (
    Fault("SIGKILL coordinator", 4),
    Fault("SIGKILL coordinator and worker", 3),
    Fault("SIGKILL everything", 4),
    Fault("SIGKILL worker", 4, ends=False),
    Fault("SIGKILL fork server", 2, ends=False),
    Fault("SIGSTOP worker", 1, ends=False),
    Fault("SIGSTOP worker, SIGKILL coordinator", 1),
    Fault("SIGSTOP everything, SIGCONT", 1, ends=False, silent=True),
    Fault("SIGTERM coordinator", 2, orderly=True),
    Fault("SIGTERM everything", 2, orderly=True),
    Fault("SIGINT everything", 2, orderly=True),
    Fault("SIGHUP everything", 2, orderly=True),
)


@dataclass
class Kill:
    """What one fault cost.

    Args:
        fault: What happened.
        study: Of which study.
        early: Whether the run was still starting.
        epochs_lost: Whole epochs that were in the record and had to be trained again.
        work_lost: Seconds of training since the last checkpoint; None where nothing was being trained.
        back_after: Seconds from the same command, or from the fault where the run lived on, until training went on.
        stopped_after: Seconds until a run that was to stop in good order had ended.
        gone_after: Seconds until all its processes were gone, after the end of the coordinator.
        orphans: Processes that outlived it.
    """

    fault: str
    study: str
    early: bool
    epochs_lost: int = 0
    work_lost: float | None = None
    back_after: float | None = None
    stopped_after: float | None = None
    gone_after: float | None = None
    orphans: int = 0

    @property
    def seconds_lost(self) -> float | None:
        """What the fault cost in time; None where the study was over before training could go on."""
        return None if self.back_after is None else self.back_after + (self.work_lost or 0.0)


def reference(job: Job) -> dict[int, Kept]:
    """Run a study that nobody disturbs.

    Args:
        job: The study.

    Returns:
        Its trials.

    Raises:
        RuntimeError: It did not end as it should.
    """
    run = Run(job)
    try:
        if run.end() != 0 or run.line(": Done:") is None:
            raise RuntimeError(f"the undisturbed study did not end well: {_last_words(run)}")
    finally:
        run.close()
    watch = Watch(job.folder)
    if wrong := watch.finished(job.trials):
        raise RuntimeError(f"the undisturbed study is not in order: {'; '.join(wrong)}")
    return watch.look()


@dataclass
class Night:
    """One study that is killed again and again until it is done.

    Args:
        job: The study.
        dice: Where the moments and the faults come from.
        faults: What may happen.
        say: Told about every kill.
    """

    job: Job
    dice: random.Random
    faults: Iterable[Fault] = FAULTS
    say: Callable[[Kill], object] = repr
    kills: list[Kill] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """What must not happen and did."""
    done: bool = False

    def __post_init__(self) -> None:
        self.watch = Watch(self.job.folder)
        self._pending: Kill | None = None
        self._struck = 0.0  # when the last fault came
        self._open: dict[int, int] = {}  # open trials when the last fault came, and the epochs of their histories
        self._disturbed: dict[int, int] = {}  # the same when a fault last hit a worker

    def go(self, most: int) -> None:
        """Kill until the study is done.

        Args:
            most: After so many kills nothing is done to it any more.
        """
        stuck = 0
        while not self.done and stuck < 3:
            run = Run(self.job)
            try:
                self._one_run(run, most)
            except (RuntimeError, psutil.Error) as error:
                self.broken.append(f"{self.job.study}: {error}: {_last_words(run)}")
                stuck += 1
            finally:
                run.close()
        if self.done:
            self.broken += [f"{self.job.study}: {wrong}" for wrong in self.watch.finished(self.job.trials)]
        self.broken += [f"{self.job.study}: {wrong}" for wrong in self.watch.damaged]

    def _one_run(self, run: Run, most: int) -> None:
        since, seen = run.began, 0
        early = len(self.kills) < most and self.dice.random() < EARLY
        if early:
            run.line(_NEVER, patience=self.dice.uniform(0.0, STARTING))
            if run.line(TRAINING, patience=0.0) is None and run.running and not self._strike(run, early=True):
                return
        while (line := run.line(TRAINING, seen)) is not None:
            self._training_goes_on(line, since)
            if len(self.kills) >= most:
                break
            run.line(_NEVER, len(run.lines), self.dice.uniform(0.0, TRAINING_FOR))
            if not run.running:
                break
            before = len(run.lines)
            if not self._strike(run, early=False):
                return
            if self._pending is not None:  # otherwise training goes on without a word
                seen, since = before, self._struck
        self._came_to_its_end(run)

    def _came_to_its_end(self, run: Run) -> None:
        """A run that nothing ended must have finished the study."""
        code = run.end()
        run.line(_NEVER)  # until its last line is read
        if code is None:
            raise RuntimeError("it does not end and says nothing")
        self._check_words(run, code)
        if not (code == 0 and run.done):
            raise RuntimeError(f"it ended by itself with exit code {code}")
        self.done = True
        self._settle_orphans(run, None)
        self._finish(None)

    # ---- one fault

    def _strike(self, run: Run, *, early: bool) -> bool:
        """Let something happen; whether the run lives on."""
        fault = self._drawn(run, early=early)
        if fault is None:
            return run.running
        before = self.watch.look()
        kill = Kill(fault.name, self.job.study, early)
        when = time.time()
        work = None if early else self._work_lost(run, before, when)
        if not _apply(fault, run):  # what it is meant for ended just before
            return run.running
        self._finish(None)
        self.kills.append(kill)
        if fault.silent:
            kill.work_lost, kill.back_after = 0.0, time.time() - when
            self.say(kill)
            return run.running
        self._pending, self._struck = kill, when
        kill.work_lost = 0.0 if fault.orderly and not early else work
        if fault.ends:
            self._see_it_end(run, fault, kill, when)
        found = self.watch.look()
        self._open = {number: len(kept.history) for number, kept in found.items() if not kept.ended}
        if not fault.ends:
            self._disturbed = dict(self._open)
        return run.running

    def _drawn(self, run: Run, *, early: bool) -> Fault | None:
        """What happens now; None where nothing of it can, as no worker is there yet."""
        possible = [fault for fault in self.faults if run.workers() or "worker" not in fault.name]
        if early:
            possible = [fault for fault in possible if fault.ends]
        # Hitting the worker of a trial again and again before it gains an epoch is what ends it, and rightly.
        now = {n: len(kept.history) for n, kept in self.watch.look().items() if not kept.ended}
        if any(self._disturbed.get(number) == epochs for number, epochs in now.items()):
            possible = [fault for fault in possible if fault.ends] or possible
        return self.dice.choices(possible, [fault.weight for fault in possible])[0] if possible else None

    def _see_it_end(self, run: Run, fault: Fault, kill: Kill, when: float) -> None:
        code = run.end(STOPS_WITHIN if fault.orderly else 10.0)
        if code is None:
            self.broken.append(f"{self.job.study}: after {fault.name} it did not end within {STOPS_WITHIN:.0f} s")
            run.process.kill()
            run.end()
        if fault.orderly:
            kill.stopped_after = time.time() - when
        self._settle_orphans(run, kill)
        if fault.orderly and code is not None:
            self._check_words(run, code)

    def _settle_orphans(self, run: Run, kill: Kill | None) -> None:
        orphans, took = run.orphans()
        if kill is not None:
            kill.orphans, kill.gone_after = orphans, took
        if orphans:
            after = f"after {kill.fault}" if kill else "after the end of a study"
            self.broken.append(f"{self.job.study}: {orphans} processes outlived the coordinator {after}")

    def _check_words(self, run: Run, code: int) -> None:
        """A run that was not killed outright says nothing that is meant for programmers, nor that it was refused."""
        said = run.errors
        greeted = bool(run.lines)
        if greeted and "Traceback" in said:
            self.broken.append(f"{self.job.study}: a traceback: {said}")
        if code == 2:
            self.broken.append(f"{self.job.study}: refused: {said}")

    def _work_lost(self, run: Run, before: dict[int, Kept], when: float) -> float | None:
        trained = [line for line in run.lines if line.training]
        if not trained:
            return None
        number = int(trained[-1].training["number"])  # type: ignore[index]  # it matched
        if number not in before or before[number].ended:
            return 0.0
        checkpoint = self._checkpoint(number)
        saved = checkpoint.stat().st_mtime if checkpoint.exists() else 0.0
        return max(0.0, when - max(saved, trained[-1].when))

    def _checkpoint(self, number: int) -> Path:
        return self.job.folder / "trials" / f"{number:05d}" / "checkpoint.npz"

    # ---- what it cost

    def _training_goes_on(self, line: Line, since: float) -> None:
        self.watch.look()
        self._finish(line, since)

    def _finish(self, line: Line | None, since: float = 0.0) -> None:
        """Close the account of the last fault: training goes on, or the study is over, or the next fault is here."""
        kill, self._pending = self._pending, None
        if kill is None:
            return
        if line is None:
            self.say(kill)
            return
        kill.back_after = line.when - since
        match = line.training
        assert match is not None  # what was waited for
        number = int(match["number"])
        if number in self._open:
            had = self._open[number]
            held = had if match["last"] else int(match["epoch"].replace(",", "")) - 1 if match["epoch"] else 0
            kill.epochs_lost = max(0, had - held)
            if kill.epochs_lost > 1:
                checkpoint = checkpoint_epochs(self._checkpoint(number))
                self.broken.append(
                    f"{self.job.study}: {kill.fault} cost {kill.epochs_lost} epochs of trial {number}: it had {had}, "
                    f"went on with {held}; its checkpoint holds {checkpoint} by now"
                )
        self.say(kill)


def _apply(fault: Fault, run: Run) -> bool:
    """Do it; whether there was still something to do it to."""
    workers, server = run.workers(), run.server()
    if not run.running:
        return False
    match fault.name:
        case "SIGKILL coordinator":
            run.process.kill()
        case "SIGKILL coordinator and worker":
            run.process.kill()
            _send(workers, signal.SIGKILL)
        case "SIGKILL everything":
            run.signal_group(signal.SIGKILL)
        case "SIGKILL worker":
            return _send(workers, signal.SIGKILL)
        case "SIGKILL fork server":
            return _send([server] if server else [], signal.SIGKILL)
        case "SIGSTOP worker":
            return _send(workers, signal.SIGSTOP)
        case "SIGSTOP worker, SIGKILL coordinator":
            _send(workers, signal.SIGSTOP)
            run.process.kill()
        case "SIGSTOP everything, SIGCONT":
            run.signal_group(signal.SIGSTOP)
            time.sleep(1.0)
            run.signal_group(signal.SIGCONT)
        case "SIGTERM coordinator":
            run.process.terminate()
        case _:
            run.signal_group(signal.Signals[fault.name.split()[0]])
    return True


def _send(processes: list[psutil.Process], kind: signal.Signals) -> bool:
    """Send a signal; whether a process got it."""
    sent = False
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(kind)
            sent = True
    return sent


def _last_words(run: Run) -> str:
    lines = [line.text for line in run.lines[-3:]]
    return " | ".join([*lines, run.errors.strip()[-2000:]])
