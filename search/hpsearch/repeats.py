"""Starting or resuming finals: recipes of a study trained again, each with every seed, by the loop of a search."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from hpsearch.coordinator.agenda import Repeat
from hpsearch.coordinator.loop import Coordinator
from hpsearch.coordinator.options import Options
from hpsearch.coordinator.rounds import Rounds
from hpsearch.errors import StudyError
from hpsearch.events import Patient, Watcher
from hpsearch.executors.devices import slots_for
from hpsearch.executors.local import LocalExecutor
from hpsearch.hardware import HardwareOptions, choose_backend, choose_hardware
from hpsearch.limits import Limits
from hpsearch.messages import Ready, Setup
from hpsearch.running import Show, first_ready, heeding_signals, opened, writing_record
from hpsearch.space import Objective
from hpsearch.strategies.database import check_database
from hpsearch.strategies.repeats import Repeats
from hpsearch.study.folder import StudyFolder
from hpsearch.study.trial import Trial

__all__ = ["Workplace", "run_repeats"]


@dataclass(frozen=True)
class Workplace:
    """Where finals are trained, and for how long.

    Args:
        seconds: The most seconds on the clock, over all runs of the finals; None is no limit.
        hardware: On what; without a word on every GPU there is, else the CPU.
        per_device: How many processes train on a device at a time.
        hang_timeout: Seconds without a sign of life after which a worker is given up.
    """

    seconds: float | None = None
    hardware: HardwareOptions = field(default_factory=HardwareOptions)
    per_device: int = 1
    hang_timeout: float = 600.0


def run_repeats(
    study: StudyFolder,
    repeats: Sequence[Repeat],
    setup: Setup,
    workplace: Workplace,
    show: Show,
    on_ended: Callable[[], None],
    tell: Callable[[str], None] = lambda _: None,
) -> str:
    """Train recipes of a study again until all are done, the time is up or somebody stops it.

    Args:
        study: The study, held for writing; its finals are in a folder inside it.
        repeats: Which recipes, with which seeds, in this order.
        setup: What workers load.
        workplace: Where, and for how long.
        show: Opens whatever shows the run.
        on_ended: Called after each that ended.
        tell: Told on what is trained, and whatever is amiss there.

    Returns:
        What stopped it, such as ``by SIGINT``; empty where nothing did.

    Raises:
        StudyError: The data, the space or the record is not what it was.
        RunError: The finals could not go on.
    """
    folder = study.finals
    check_database(folder.database)
    info = study.info()
    hardware = choose_hardware(workplace.hardware, choose_backend(workplace.hardware, info, tell), info, tell)
    hardware.recorded(study)
    slots = slots_for(hardware.devices, workplace.per_device)
    executor = LocalExecutor(hardware.setup(setup), slots)
    try:
        with writing_record(folder):
            executor.start(0)
            ready = first_ready(executor)
            _check_same(study, ready, repeats)
            with folder.writing():
                _open_record(study)
                coordinator = _coordinator(study, folder, ready, repeats, executor, workplace)
                with _shown(show, ready, coordinator, on_ended) as watcher, heeding_signals(coordinator, watcher):
                    coordinator.run(watcher)
    finally:
        executor.close()
    return coordinator.stopping


def _check_same(study: StudyFolder, ready: Ready, repeats: Sequence[Repeat]) -> None:
    if ready.data_fingerprint != study.info().data_fingerprint:
        raise StudyError("The data is not what the study searched on; give the same --data-dir as then.")
    known = {baseline.name for baseline in ready.summary.baselines}
    for repeat in repeats:
        name = repeat.finalist.baseline
        if name is not None and name not in known:
            raise StudyError(f"The baseline {name} of study {study.name} is not in {study.space_file} any more.")


def _open_record(study: StudyFolder) -> None:
    folder, info = study.finals, study.info()
    if not folder.exists:
        made = replace(info, name=folder.name, created=time.time(), test_openings=[])
        folder.create(made, study.space_file.read_text(encoding="utf-8"))


def _coordinator(
    study: StudyFolder,
    folder: StudyFolder,
    ready: Ready,
    repeats: Sequence[Repeat],
    executor: LocalExecutor,
    workplace: Workplace,
) -> Coordinator:
    info = study.info()
    answers = {repeat.label: repeat.finalist.answers for repeat in repeats}
    maximize = Objective.parse(info.objective).maximize
    strategy = opened(folder, lambda: Repeats(folder.database, maximize=maximize, answers=answers))
    if max((trial.number for trial in folder.trials()), default=-1) > strategy.last_number:
        raise StudyError(
            f"{folder.database} lacks finals that are recorded in {folder.path / 'trials'}: it was emptied or is an "
            f"old copy. Put the right one back, or move {folder.path} away, and the finals begin anew."
        )
    # The epochs are those of the search, also for trials that it stopped early.
    limits = Limits(seconds=workplace.seconds, epochs=info.epochs)
    options = Options(info.seed, workplace.hang_timeout, keep=0)
    return Coordinator(folder, ready, strategy, executor, limits, options, partial(Rounds, repeats))


@contextmanager
def _shown(show: Show, ready: Ready, coordinator: Coordinator, on_ended: Callable[[], None]) -> Any:
    objective = Objective.parse(ready.summary.objective)
    screen: AbstractContextManager[Watcher] = show(objective, coordinator.best())
    with screen as watcher:
        yield _Telling(watcher, on_ended)


class _Telling(Patient):
    """Tells somebody else, too, that a final has ended."""

    def __init__(self, watcher: Watcher, on_ended: Callable[[], None]) -> None:
        super().__init__(watcher)
        self._on_ended = on_ended

    def ended(self, trial: Trial, best: Trial | None, budget: Any) -> None:
        self._on_ended()
        super().ended(trial, best, budget)
