"""Starting or resuming a study: load space and data in a worker, open the record, hand over to the coordinator."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hpsearch
from hpsearch.coordinator.loop import Coordinator
from hpsearch.coordinator.options import Options
from hpsearch.errands import Inspect, Inspected
from hpsearch.errors import RunError, StudyError
from hpsearch.events import Patient
from hpsearch.executors.devices import slots_for
from hpsearch.executors.local import LocalExecutor, LocalWorker
from hpsearch.hardware import Hardware, HardwareOptions, choose_backend, choose_hardware, foreign_frameworks
from hpsearch.limits import Limits
from hpsearch.messages import Ready, Refused, Setup
from hpsearch.running import Show, first_ready, heeding_signals, opened, refusal, writing_record
from hpsearch.sharing import PerDevice, slots_of
from hpsearch.space import Objective, Space
from hpsearch.spacefile import is_declarative, load_space
from hpsearch.strategies.choose import open_strategy
from hpsearch.strategies.database import check_database
from hpsearch.study.asked import Said, write_asked
from hpsearch.study.atomic import write_text
from hpsearch.study.folder import StudyFolder, StudyInfo, checked_name
from hpsearch.study.room import existing_folder
from hpsearch.study.soundness import try_folder
from hpsearch.study.trial import Trial

__all__ = ["Request", "answered", "inspected", "prepared_worker", "run_search"]


@dataclass(frozen=True)
class Request:
    """What ``hpsearch run`` was asked to do.

    Args:
        space_file: The space file.
        results: The folder that holds the studies.
        study: The name of the study; None takes the space file's.
        data_dir: Where to look for data and weights first.
        subset: How many training images to take; None takes all.
        skip_bad_images: Whether to go on without images that cannot be decoded.
        seed: Where the random numbers start; None is 0, or what the study was begun with.
        limits: How far to go.
        strategy: Who proposes; None is ``adaptive``, ``tpe`` with a pruner, or what the study was begun with.
        pruner: Who stops trials early; None is ``none``, or what the study was begun with.
        deterministic: Whether the same seed must give the same weights, bit by bit.
        engine: What trains: ``auto``, ``fit`` or ``device``.
        hardware: Where to train and with what; without a word on every GPU there is, else the CPU.
        per_device: How many processes train on a device at a time; ``"auto"`` measures that.
        hang_timeout: Seconds without a sign of life after which a worker is given up.
        checkpoint_every: Seconds between checkpoints of a trial; 0 writes one after every epoch.
        keep: Of how many of the best trials the checkpoints stay.
    """

    space_file: Path
    results: Path
    study: str | None = None
    data_dir: Path | None = None
    subset: int | None = None
    skip_bad_images: bool = False
    seed: int | None = None
    limits: Limits = field(default_factory=Limits)
    strategy: str | None = None
    pruner: str | None = None
    deterministic: bool = False
    engine: str = "auto"
    hardware: HardwareOptions = field(default_factory=HardwareOptions)
    per_device: PerDevice = 1
    hang_timeout: float = 600.0
    checkpoint_every: float = 0.0
    keep: int = 5

    @property
    def folder(self) -> StudyFolder:
        """The study's folder."""
        return StudyFolder(self.results / checked_name(self.study or self.space_file.stem))

    @property
    def asked(self) -> dict[str, Said]:
        """What has to be said again to go on alike, but for what the study keeps, by option; None for a default."""
        limits, usual = self.limits, Request(self.space_file, self.results)
        until = limits.until
        return {
            "until": f"{until.metric}{until.comparison}{until.value!r}" if until else None,
            "patience": limits.patience,
            "per-trial": limits.per_trial,
            "no-baselines": not limits.baselines,
            "engine": self.engine if self.engine != usual.engine else None,
            "devices": self.hardware.devices,
            "per-device": self.per_device if self.per_device != usual.per_device else None,
            "hang-timeout": self.hang_timeout if self.hang_timeout != usual.hang_timeout else None,
            "checkpoint-every": self.checkpoint_every or None,
            "keep": self.keep if self.keep != usual.keep else None,
        }

    @property
    def setup(self) -> Setup:
        """What a worker is to load."""
        imports = self.space_file.parent.resolve()
        return Setup(
            self.space_file,
            imports,
            self.data_dir,
            self.subset,
            self.skip_bad_images,
            self.deterministic,
            self.engine,
        )


def run_search(
    request: Request,
    show: Show,
    starting: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda _: None,
) -> StudyFolder:
    """Run a study until its budget is used up; a study that exists is resumed.

    Args:
        request: What to do.
        show: Opens whatever shows the run.
        starting: Called when all that can be checked at once is in order, before the seconds of loading.
        tell: Told what is measured before the search begins.

    Raises:
        InputError: The space, the data or the study cannot be used as asked.
        RunError: The search could not go on, or not a single trial could be trained.
    """
    known = _check_space_quickly(request.space_file)
    _check_until(request.limits, known.objective if known else None)
    folder = request.folder
    _check_writable(folder)
    check_database(folder.database)
    slots_for(request.hardware.devices)  # to say at once what is wrong with them
    before = folder.info() if folder.exists else None
    backend = choose_backend(request.hardware, before, tell)
    if before is not None:
        with folder.writing():
            pass  # whoever writes to it already is named before seconds are spent on loading
    else:
        _check_sound(folder)
    starting()
    for sentence in foreign_frameworks(request.space_file, backend):
        tell(sentence)
    hardware = choose_hardware(request.hardware, backend, before, tell)
    setup = hardware.setup(request.setup)
    slots = slots_of(setup, hardware.devices, request.per_device, tell)
    executor = LocalExecutor(setup, slots)
    try:
        with writing_record(folder):
            coordinator = _run(folder, request, hardware, executor, show)
    finally:
        executor.close()
    if coordinator.best() is None and not coordinator.stopping:
        last = max(coordinator.ledger.ended, key=lambda trial: trial.number, default=None)
        why = f"; the last: {last.message.rstrip('.')}" if last else ""
        raise RunError(f"No trial could be trained{why}.")
    return folder


def _run(folder: StudyFolder, request: Request, hardware: Hardware, executor: LocalExecutor, show: Show) -> Coordinator:
    executor.start(0)
    ready = first_ready(executor)
    _check_until(request.limits, ready.summary.objective)
    with folder.writing():
        info = _open_record(folder, request, hardware, ready)
        write_asked(folder, request.asked)
        objective = Objective.parse(ready.summary.objective)
        strategy = opened(
            folder,
            lambda: open_strategy(
                folder.database,
                folder.name,
                maximize=objective.maximize,
                seed=info.seed,
                summary=ready.summary,
                epochs=request.limits.epochs,
                strategy=info.strategy,
                pruner=info.pruner,
            ),
        )
        _check_holds_all(folder, strategy.last_number)
        # The copy in the record is what is searched, whatever becomes of the file while the search runs.
        executor.setup = replace(hardware.setup(request.setup), space_file=folder.space_file)
        options = Options(info.seed, request.hang_timeout, request.checkpoint_every, request.keep)
        coordinator = Coordinator(folder, ready, strategy, executor, request.limits, options)
        with show(objective, coordinator.best()) as screen:
            watcher = Patient(screen)
            with heeding_signals(coordinator, watcher):
                for path in ready.skipped:
                    watcher.note(f"Left out, cannot be read: {path}")
                for sentence in _left_out(request, ready, folder):
                    watcher.note(sentence)
                coordinator.run(watcher)
    return coordinator


def _left_out(request: Request, ready: Ready, folder: StudyFolder) -> Iterator[str]:
    """What is to be said of hand-made networks that wait for a trained file."""
    trained = {trial.baseline for trial in folder.trials() if trial.state == "COMPLETE"}
    where = "" if str(request.results) == "results" else f" --results {request.results}"
    for one in ready.summary.left_out if request.limits.baselines else ():
        if one.name not in trained:
            yield one.sentence(request.data_dir, f" --study {folder.name}{where}")


def prepared_worker(setup: Setup, environment: Iterable[tuple[str, str]] = ()) -> tuple[LocalWorker, Ready]:
    """A worker that has loaded a space and its data.

    Args:
        setup: What to load.
        environment: Variables that the worker sets before it looks for devices.

    Raises:
        HpsearchError: It could not, for the reason said.
    """
    worker = LocalWorker(environment)
    try:
        worker.send(setup)
        answer = worker.receive()
    except BaseException:
        worker.close()
        raise
    if isinstance(answer, Refused):
        worker.close()
        raise refusal(answer)
    return worker, answer


def answered(request: Any) -> Any:
    """The answer of a fresh worker to a request that needs no space loaded for training.

    Args:
        request: ``Inspect`` or ``Score``.

    Raises:
        HpsearchError: It could not, for the reason said.
    """
    worker = LocalWorker()
    try:
        worker.send(request)
        answer = worker.receive()
    finally:
        worker.close()
    if isinstance(answer, Refused):
        raise refusal(answer)
    return answer


def inspected(space_file: Path, request: Inspect, backend: str | None = None) -> Inspected:
    """Look at a space without searching it.

    Args:
        space_file: The space file as the user calls it.
        request: What to build.
        backend: What to build it with; None is what Keras takes.

    Raises:
        HpsearchError: The space or the data cannot be used.
    """
    _check_space_quickly(space_file)
    backend = choose_backend(HardwareOptions(backend=backend), None)
    found: Inspected = answered(request)
    return replace(found, notes=tuple(foreign_frameworks(space_file, backend)))


def _check_space_quickly(path: Path) -> Space | None:
    """Say what is wrong with a declared space before seconds are spent on starting Keras; None is not known yet."""
    return load_space(path) if is_declarative(path) else None


def _check_until(limits: Limits, objective: str | None) -> None:
    if limits.until is not None and objective is not None:
        parsed = Objective.parse(objective)
        limits.until.check(parsed.metric, parsed.maximize)


def _check_writable(folder: StudyFolder) -> None:
    """Refuse a results folder that cannot be written, before anything is loaded and without leaving anything behind."""
    try:
        existing = existing_folder(folder.path)
    except OSError as error:
        raise StudyError(f"The study cannot be written to {folder.path}: {error.strerror}.") from error
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise StudyError(
            f"The study cannot be written to {folder.path}: {existing} is not a folder that you may write. "
            "Choose another with --results."
        )


def _check_sound(folder: StudyFolder) -> None:
    """Refuse a share that would lose or damage a study: without locks that hold, SQLite, rename or fsync."""
    found = try_folder(folder.path)
    if found.failures:
        raise StudyError(found.sentence)


def _open_record(folder: StudyFolder, request: Request, hardware: Hardware, ready: Ready) -> StudyInfo:
    """Begin the record, or make sure that the one there is of the same search."""
    if folder.exists:
        _check_same(folder, request, ready)
        # A new baseline does not change the space, but it must be found when a trial is shown or exported.
        write_text(folder.space_file, request.space_file.read_text(encoding="utf-8"))
        return hardware.recorded(folder)
    seed = request.seed if request.seed is not None else 0
    info = StudyInfo(
        name=folder.name,
        objective=ready.summary.objective,
        space_file=str(request.space_file),
        space_text=ready.summary.text,
        space_fingerprint=ready.summary.fingerprint,
        data_text=ready.summary.data,
        data_fingerprint=ready.data_fingerprint,
        class_names=list(ready.class_names),
        train_images=ready.train_images,
        validation_images=ready.validation_images,
        subset=request.subset,
        seed=seed,
        epochs=request.limits.epochs,
        created=time.time(),
        data_dir=str(request.data_dir) if request.data_dir else None,
        skip_bad_images=request.skip_bad_images,
        # The default strategy stops trials itself.
        strategy=request.strategy or ("adaptive" if request.pruner is None else "tpe"),
        pruner=request.pruner or "none",
        deterministic=request.deterministic,
        xla=hardware.xla,
        versions={"hpsearch": hpsearch.__version__, **ready.versions, "machine": platform.machine()},
    )
    folder.create(info, request.space_file.read_text(encoding="utf-8"))
    return info


def _check_holds_all(folder: StudyFolder, last_number: int) -> None:
    """Refuse a database that is older than the record: its next trials would take the numbers of others."""
    last = max((trial.number for trial in folder.trials() if _is_written(trial)), default=-1)
    if last > last_number:
        raise StudyError(
            f"Study {folder.name} has trials up to number {last}, but {folder.database} holds {last_number + 1}: "
            "it was emptied or is an old copy. Put the right one back, or give this run a name of its own with "
            f"--study {folder.name}-2."
        )


def _is_written(trial: Trial) -> bool:
    """Whether the database must hold a trial: one whose choices are still being made is written when they are."""
    return bool(trial.recipe) or trial.state != "RUNNING"


def _check_same(folder: StudyFolder, request: Request, ready: Ready) -> None:
    info = folder.info()
    other = f"give this run a name of its own with --study {folder.name}-2"
    if not folder.database.exists() and folder.trials():
        raise StudyError(f"Study {folder.name} has trials, but {folder.database} is gone; put it back, or {other}.")
    if info.space_fingerprint != ready.summary.fingerprint:
        changed = folder.difference(ready.summary.text) or "the code of build(hp)"
        raise StudyError(f"The space has changed since study {folder.name} began; {other}. The difference:\n{changed}")
    for option, was, now in (
        ("--subset", info.subset, request.subset),
        ("--epochs", info.epochs, request.limits.epochs),
    ):
        if was != now:
            began = f"with {option} {was}" if was is not None else f"without {option}"
            raise StudyError(f"Study {folder.name} was begun {began}; say the same again, or {other}.")
    for option, then, asked in (
        ("--seed", info.seed, request.seed),
        ("--strategy", info.strategy, request.strategy),
        ("--pruner", info.pruner, request.pruner),
    ):
        if asked is not None and asked != then:
            raise StudyError(f"Study {folder.name} was begun with {option} {then}; leave {option} out, or {other}.")
    if info.deterministic != request.deterministic:
        began = "with" if info.deterministic else "without"
        raise StudyError(f"Study {folder.name} was begun {began} --deterministic; say the same again, or {other}.")
    if info.data_fingerprint != ready.data_fingerprint:
        raise StudyError(f"The data has changed since study {folder.name} began; {other}.")
