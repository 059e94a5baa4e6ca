"""Training chosen recipes again on train + validation, with several seeds; what is done stays where that is cut off."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hpsearch.errands import Refit, Refitted
from hpsearch.errors import RunError, StudyError
from hpsearch.executors.base import WorkerDied
from hpsearch.executors.devices import slots_for
from hpsearch.executors.local import LocalWorker
from hpsearch.hardware import HardwareOptions, choose_backend, choose_hardware
from hpsearch.launch import prepared_worker
from hpsearch.messages import EpochDone, Failed, Go, Setup
from hpsearch.results.replay import replayed
from hpsearch.study.atomic import read_json, write_json
from hpsearch.study.folder import StudyFolder, StudyInfo
from hpsearch.study.trial import Epoch, Trial, TrialFolder

__all__ = ["OnEpoch", "Retrained", "Training", "forget_retrained", "retrained"]

OnEpoch = Callable[[str, Epoch, int], None]
"""Told of every epoch: what is trained, the epoch, how many there will be."""


@dataclass(frozen=True)
class Training:
    """A recipe that is to be trained on train + validation.

    Args:
        trial: Its trial in the study.
        seed: Of weights, shuffles and dropout.
        called: What people are told.
        validated: The trial whose epochs and learning rates are gone through again; that of the finals with this seed
            where there is one.
        folder: The folder of that.
    """

    trial: Trial
    seed: int
    called: str
    validated: Trial
    folder: TrialFolder


@dataclass(frozen=True)
class Retrained:
    """A network that was trained on train + validation.

    Args:
        training: What it is.
        model: The ``.keras`` file; ``.probe.npz`` and ``.inputs.json`` lie beside it.
        images: How many images it was trained on.
        parameters: How many parameters it has.
        epochs: How many epochs it was trained.
    """

    training: Training
    model: Path
    images: int
    parameters: int
    epochs: int


def retrained(
    study: StudyFolder,
    info: StudyInfo,
    setup: Setup,
    trainings: Sequence[Training],
    on_epoch: OnEpoch,
    options: HardwareOptions,
    tell: Callable[[str], None],
) -> list[Retrained]:
    """Train recipes again, each replaying a validated run.

    Args:
        study: The study, held for writing. What an earlier call has finished is taken up.
        info: What it is.
        setup: What the worker loads.
        trainings: What to train.
        on_epoch: Told of every epoch.
        options: What to train on; without a word on a GPU that the backend sees, else the CPU.
        tell: Told what trains, and whatever is amiss there.

    Raises:
        StudyError: The data is not what was searched on, or a history is lost.
        RunError: A training failed.
    """
    traces = [_trace(each, info.objective) for each in trainings]
    folder = _folder(study)
    folder.mkdir(parents=True, exist_ok=True)
    found = [_earlier(folder, info, each, trace) for each, trace in zip(trainings, traces, strict=True)]
    if all(found):
        return [each for each in found if each is not None]
    wanted = replace(options, devices=options.devices or "auto")
    hardware = choose_hardware(wanted, choose_backend(wanted, info), info, tell)
    info.xla = hardware.recorded(study).xla
    worker, ready = prepared_worker(hardware.setup(setup), slots_for(hardware.devices)[0].environment)
    try:
        if ready.data_fingerprint != info.data_fingerprint:
            raise StudyError("The data is not what the study searched on; give the same --data-dir as then.")
        return [
            before or _trained(worker, folder, info, each, trace, on_epoch)
            for before, each, trace in zip(found, trainings, traces, strict=True)
        ]
    except WorkerDied as death:
        raise RunError(f"Retraining failed: {death}") from death
    finally:
        worker.close()


def forget_retrained(study: StudyFolder) -> None:
    """Delete what was trained for an export that is written now.

    Args:
        study: The study, held for writing.
    """
    shutil.rmtree(_folder(study), ignore_errors=True)


def _folder(study: StudyFolder) -> Path:
    return (study.path / "retrained").resolve()


def _trace(training: Training, objective: str) -> list[Epoch]:
    """The epochs that led to the best one."""
    trace = replayed(training.folder.history(), objective, training.validated.best_epoch)
    if not trace:
        raise StudyError(
            f"The history of trial {training.validated.name} in {training.folder.path} is lost; it cannot be retrained."
        )
    return trace


def _model(folder: Path, training: Training) -> Path:
    return folder / f"{training.trial.number:05d}-{training.seed}.keras"


def _identity(info: StudyInfo, training: Training, trace: list[Epoch]) -> list[object]:
    """What must be the same for a network that was trained before to be the one that is wanted."""
    rates = [epoch.metrics["learning_rate"] for epoch in trace]
    return [info.data_fingerprint, training.trial.hash, training.seed, training.validated.number, *rates]


def _earlier(folder: Path, info: StudyInfo, training: Training, trace: list[Epoch]) -> Retrained | None:
    """What an earlier call has trained, if it is whole."""
    model = _model(folder, training)
    try:
        said = read_json(model.with_suffix(".json"))
        refitted = Refitted(**said["refitted"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    files = (model, model.with_suffix(".probe.npz"), model.with_suffix(".inputs.json"))
    if said.get("of") != _identity(info, training, trace) or not all(file.exists() for file in files):
        return None
    return Retrained(training, model, refitted.images, refitted.parameters, len(trace))


def _trained(
    worker: LocalWorker, folder: Path, info: StudyInfo, training: Training, trace: list[Epoch], on_epoch: OnEpoch
) -> Retrained:
    model, trial = _model(folder, training), training.trial
    rates = tuple(epoch.metrics["learning_rate"] for epoch in trace)
    phases = tuple(int(epoch.metrics.get("phase", 1)) for epoch in trace)
    of = info.name, trial.name
    again = Refit(training.seed, training.folder.log.resolve(), dict(trial.answers), trial.baseline, rates, model)
    worker.send(replace(again, phases=phases, epochs=training.validated.epochs_budget or None, of=of))
    while not isinstance(message := worker.receive(), Refitted):
        if isinstance(message, Failed):
            raise RunError(f"Retraining trial {training.called} failed ({message.kind}): {message.message}")
        assert isinstance(message, EpochDone)  # nothing else is said while a recipe is trained again
        on_epoch(training.called, message.epoch, len(trace))
        worker.send(Go())
    # Written last, so that what it describes is whole.
    write_json(model.with_suffix(".json"), {"of": _identity(info, training, trace), "refitted": asdict(message)})
    return Retrained(training, model, message.images, message.parameters, len(trace))
