"""Retraining the best recipe on train + validation, opening the sealed test part once, and writing what can be shipped.

The order is what makes the test score worth something: the choice and the seed are written down first, then the
networks are trained, and only then is the test part read, for the chosen recipe and for the best hand-made one.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hpsearch.errands import Refit, Refitted, Score, Scored
from hpsearch.errors import RunError, StudyError
from hpsearch.executors.local import LocalWorker, WorkerDied
from hpsearch.launch import answered, prepared_worker
from hpsearch.messages import EpochDone, Failed, Go, Setup
from hpsearch.results.card import card
from hpsearch.results.leaderboard import rank
from hpsearch.results.replay import replayed
from hpsearch.results.setup import setup_of
from hpsearch.results.tested import Tested, tested
from hpsearch.study.atomic import read_json, write_json, write_text
from hpsearch.study.folder import StudyFolder, StudyInfo
from hpsearch.study.trial import Epoch, Trial

__all__ = ["Export", "Tested", "export_best"]

_PREDICT = Path(__file__).resolve().parents[1] / "training" / "predict.py"

SAME = 1e-3
"""A loaded model may give probabilities that differ by this much from what it gave when it was saved, and no more."""


@dataclass(frozen=True)
class Export:
    """What was written.

    Args:
        folder: Where.
        chosen: The exported network.
        baseline: The best hand-made one beside it, or None where there is none or it is the chosen one.
        train_images: How many images the networks were retrained on.
        test_images: How many images the test part has.
        difference: The largest difference between the answers the model gave when it was saved and those it gave when a
            fresh process had loaded it; of amounts as a share of them.
        before: Whether all this was written by an earlier call, and nothing was opened now.
    """

    folder: Path
    chosen: Tested
    baseline: Tested | None
    train_images: int
    test_images: int
    difference: float
    before: bool = False


def export_best(
    study: StudyFolder,
    *,
    data_dir: Path | None = None,
    output: Path | None = None,
    reopen_test: bool = False,
    command: str = "hpsearch export-best",
    on_epoch: Callable[[str, Epoch, int], None] = lambda *_: None,
) -> Export:
    """Retrain, test and export the best recipe of a study.

    Args:
        study: The study.
        data_dir: Where to look for data first; None is where the search found it.
        output: The folder to write; by default one in the study.
        reopen_test: Whether the test part may be opened again after it was opened before.
        command: What the record says opened the test part.
        on_epoch: Told of every epoch of the retraining: which network, the epoch, how many there will be.

    Raises:
        StudyError: There is nothing to export, or the test part was opened before.
        RunError: Retraining failed, or the exported file does not give the same score again.
    """
    with study.writing():
        info = study.info()
        chosen, baseline = _choice(study, info)
        folder = output or study.path / "export"
        _check_replaceable(folder)
        if info.test_openings and not reopen_test:
            return _earlier(study, info, chosen, folder)
        _record_choice(study, chosen, baseline)
        setup = setup_of(study, info, data_dir)
        with _assembled(folder) as building:
            found = _retrained(study, setup, info, [chosen, *([baseline] if baseline else [])], building, on_epoch)
            scored = _tested(study, setup, info, found, folder, command)
            tested = [
                _as_tested(trial, refitted, epochs, s, scored.images, info.objective)
                for (trial, refitted, epochs, _), s in zip(found, scored.scores, strict=True)
            ]
            export = Export(
                folder, tested[0], tested[1] if baseline else None, found[0][1].images, scored.images, scored.difference
            )
            _write(building, study, info, chosen, export)
    return export


def _choice(study: StudyFolder, info: StudyInfo) -> tuple[Trial, Trial | None]:
    """The best trial, and the best baseline if that is another."""
    trials = [trial for trial in study.trials() if trial.state != "RUNNING"]  # those may yet become better, or worse
    rows = [row for row in rank(trials, info.objective.startswith("max")) if row.rank is not None]
    if not rows:
        raise StudyError(
            f"Study {study.name} has no finished trial with a score yet; run it first: hpsearch run {info.space_file}"
        )
    best = rows[0].trial
    baseline = next((row.trial for row in rows if row.trial.baseline), None)
    return best, None if baseline is None or baseline.hash == best.hash else baseline


def _earlier(study: StudyFolder, info: StudyInfo, chosen: Trial, folder: Path) -> Export:
    """What was exported before, if it is the same recipe.

    Raises:
        StudyError: It is another, or gone; the test part is not opened again without a word.
    """
    last = info.test_openings[-1]
    for written in (folder, Path(last["folder"])):
        export = _read(written, study, chosen)
        if export is not None:
            if written.resolve() != folder.resolve():
                with _assembled(folder) as building:
                    shutil.copytree(written, building, dirs_exist_ok=True)
            return replace(export, folder=folder)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(last["when"]))
    gone = last["trials"][0] == chosen.name
    now = f"what was exported to {last['folder']} is gone" if gone else f"the best is now trial {chosen.name}"
    raise StudyError(
        f"The test part of study {study.name} was opened on {when} for trial {last['trials'][0]}, and {now}. A second "
        "look is no longer an honest test; if you want it all the same, say --reopen-test, and the record counts it."
    )


def _read(folder: Path, study: StudyFolder, chosen: Trial) -> Export | None:
    """What an earlier call wrote, or None where there is no complete export of this trial."""
    try:
        record = read_json(folder / "metrics.json")
        if record["study"] != study.name or record["chosen"]["trial"] != chosen.number:
            return None
        baseline = Tested(**record["baseline"]) if record["baseline"] else None
        images = record["train_images"], record["test_images"]
        export = Export(
            folder, Tested(**record["chosen"]), baseline, *images, difference=record["reload_difference"], before=True
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return export if (folder / "model.keras").exists() else None


def _check_replaceable(folder: Path) -> None:
    """Refuse to write over anything but an earlier export."""
    if folder.is_dir() and ((folder / "metrics.json").exists() or not any(folder.iterdir())):
        return
    if folder.exists():
        raise StudyError(f"{folder} holds something else than an export; name a folder that is new with --output.")


def _record_choice(study: StudyFolder, chosen: Trial, baseline: Trial | None) -> None:
    write_json(
        study.path / "choice.json",
        {
            "when": time.time(),
            "trial": chosen.number,
            "recipe_hash": chosen.hash,
            "seed": chosen.seed,
            "score": chosen.score,
            "baseline": baseline.baseline if baseline else None,
        },
    )


@contextmanager
def _assembled(folder: Path) -> Iterator[Path]:
    """A folder beside the final one that takes its place when everything is in it."""
    building = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True)
    except OSError as error:
        raise StudyError(
            f"The export cannot be written to {folder}: {error.strerror}; choose another with --output."
        ) from error
    try:
        yield building
        if folder.exists():
            shutil.rmtree(folder)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


_Found = list[tuple[Trial, Refitted, int, Path]]


def _retrained(
    study: StudyFolder,
    setup: Setup,
    info: StudyInfo,
    trials: list[Trial],
    building: Path,
    on_epoch: Callable[[str, Epoch, int], None],
) -> _Found:
    worker, ready = prepared_worker(setup)
    try:
        if ready.data_fingerprint != info.data_fingerprint:
            raise StudyError("The data is not what the study searched on; give the same --data-dir as then.")
        found: _Found = []
        for place, trial in enumerate(trials):
            path = building / ("model.keras" if place == 0 else "baseline.keras")
            trace = _trace(study, trial, info.objective)
            found.append((trial, _refitted(worker, study, trial, trace, path, on_epoch), len(trace), path))
        return found
    except WorkerDied as death:
        raise RunError(f"Retraining failed: {death}") from death
    finally:
        worker.close()


def _trace(study: StudyFolder, trial: Trial, objective: str) -> list[Epoch]:
    """The epochs that led to the best one."""
    trace = replayed(study.trial(trial.number).history(), objective, trial.best_epoch)
    if not trace:
        raise StudyError(
            f"The history of trial {trial.name} in {study.trial(trial.number).path} is lost; it cannot be retrained."
        )
    return trace


def _refitted(
    worker: LocalWorker,
    study: StudyFolder,
    trial: Trial,
    trace: list[Epoch],
    path: Path,
    on_epoch: Callable[[str, Epoch, int], None],
) -> Refitted:
    log = study.trial(trial.number).log.resolve()
    rates = tuple(epoch.metrics["learning_rate"] for epoch in trace)
    phases = tuple(int(epoch.metrics.get("phase", 1)) for epoch in trace)
    again = Refit(trial.seed, log, dict(trial.answers), trial.baseline, rates, path.resolve())
    worker.send(replace(again, phases=phases, epochs=trial.epochs_budget or None, of=(study.name, trial.name)))
    while not isinstance(message := worker.receive(), Refitted):
        if isinstance(message, Failed):
            raise RunError(f"Retraining trial {trial.name} failed ({message.kind}): {message.message}")
        assert isinstance(message, EpochDone)  # nothing else is said while a recipe is trained again
        on_epoch(trial.name, message.epoch, len(trace))
        worker.send(Go())
    return message


def _tested(study: StudyFolder, setup: Setup, info: StudyInfo, found: _Found, folder: Path, command: str) -> Scored:
    """Open the test part, once, in a fresh process that loads the files; what they give must be what was saved."""
    trials = study.trials()
    info.test_openings.append(
        {
            "when": time.time(),
            "command": command,
            "trials": [trial.name for trial, *_ in found],
            "trials_before": len(trials),
            "validation_looks": sum(trial.epochs for trial in trials),
            "folder": str(folder.resolve()),
        }
    )
    study.write_info(info)
    models = tuple(path.resolve() for *_, path in found)
    scored: Scored = answered(Score(setup.space_file, setup.imports, setup.data_dir, setup.skip_bad_images, models))
    if not scored.difference <= SAME:
        raise RunError(
            f"The exported file gives other answers when it is loaded, by {scored.difference:.2g}; it was not kept."
        )
    for place, path in enumerate(models):
        path.with_suffix(".probe.npz").unlink()
        described = path.with_suffix(".inputs.json")
        if place == 0:
            described.replace(path.with_name("inputs.json"))
        else:
            described.unlink()
    return scored


def _as_tested(
    trial: Trial, refitted: Refitted, epochs: int, scores: dict[str, float], images: int, objective: str
) -> Tested:
    assert trial.score is not None  # only trials with a score are ranked
    metric = objective.partition(" ")[2]
    return tested(trial.number, trial.name, trial.score, refitted.parameters, epochs, scores, images, metric)


def _write(folder: Path, study: StudyFolder, info: StudyInfo, chosen: Trial, export: Export) -> None:
    record: dict[str, Any] = {
        "study": study.name,
        "objective": info.objective,
        "data": {"declared": info.data_text, "fingerprint": info.data_fingerprint, "subset": info.subset},
        "train_images": export.train_images,
        "test_images": export.test_images,
        "chosen": asdict(export.chosen),
        "baseline": asdict(export.baseline) if export.baseline else None,
        "seed": chosen.seed,
        "reload_difference": export.difference,
        "class_names": info.class_names,
        "versions": info.versions,
        "test_openings": info.test_openings,
    }
    write_json(folder / "metrics.json", record)
    if info.class_names:
        write_text(folder / "classes.json", json.dumps(info.class_names) + "\n")
    if read_json(folder / "inputs.json")["from_files"]:
        write_text(folder / "predict.py", _PREDICT.read_text(encoding="utf-8"))
    write_text(folder / "recipe.py", chosen.recipe + "\n")
    write_text(folder / "README.md", card(info, study.trials(), chosen, export))
