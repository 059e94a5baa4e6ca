"""Retraining the best recipe on train + validation, opening the sealed test part once, and writing what can be shipped.

The order is what makes the test score worth something: finals are held, the choice and the seeds are written down, then
the networks are trained, and only then is the test part read, for the chosen recipe and for the best hand-made one.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from glob import escape
from os.path import realpath
from pathlib import Path
from typing import Any

from hpsearch.coordinator.agenda import Repeat
from hpsearch.errands import Average, Averaged, Score, Scored
from hpsearch.errors import RunError, StudyError
from hpsearch.events import Silent
from hpsearch.hardware import choose_backend
from hpsearch.launch import answered
from hpsearch.messages import Setup
from hpsearch.results.card import card
from hpsearch.results.choice import Choice, by_finals, by_search, now_best, record_choice
from hpsearch.results.contest import Terms, entrants_now, hold_finals
from hpsearch.results.formats import FORMATS, Converted, add_formats, files_of, lacking
from hpsearch.results.placing import check_place, files_in, placed, settle
from hpsearch.results.retrain import OnEpoch, Retrained, forget_retrained, retrained
from hpsearch.results.script import beside_script, place_script
from hpsearch.results.setup import setup_of
from hpsearch.results.shipped import Export, Networks, Seeds, every_seed
from hpsearch.results.tested import Tested, tested
from hpsearch.results.texts import refuse_texts
from hpsearch.running import Show
from hpsearch.study.atomic import read_json, write_json, write_text
from hpsearch.study.folder import StudyFolder, StudyInfo
from hpsearch.study.trial import Trial

__all__ = ["Export", "HowChosen", "Tested", "export_best"]

_PREDICT = Path(__file__).resolve().parents[1] / "training" / "predict.py"

_REWRITTEN = ("model.keras", "inputs.json", "metrics.json", "README.md")
"""What another format needs, or changes."""
_WRITTEN = (
    *_REWRITTEN,
    *("baseline.keras", "classes.json", "predict.py", "recipe.py", "train.py", "data.json", "no_train_py.txt"),
)
_KNOWN = (*_WRITTEN, *files_of(FORMATS))

_OF_RECORD = ("trials", "finals", "retrained", "report", "requests")

SAME = 1e-3
"""A loaded model may give probabilities that differ by this much from what it gave when it was saved, and no more."""


@dataclass(frozen=True)
class HowChosen:
    """How the exported recipe is chosen, and what is exported of it.

    Args:
        finals: Whether finals are held first, or gone on with; else the score of the search chooses.
        terms: What is asked of the finals.
        ensemble: Whether one model that answers with the mean of all seeds is exported, instead of the first seed's.
        show: Opens whatever shows the finals.
        starting: Told what the finals have left to train; not called where nothing is.
        formats: What the model is written in besides Keras's own; see `results.formats`.
        tell: Told what trains, and whatever is amiss there.
    """

    finals: bool = True
    terms: Terms = field(default_factory=Terms)
    ensemble: bool = False
    show: Show = lambda *_: nullcontext(Silent())
    starting: Callable[[Sequence[Repeat]], None] = lambda _: None
    formats: tuple[str, ...] = ()
    tell: Callable[[str], None] = lambda _: None


def export_best(
    study: StudyFolder,
    *,
    data_dir: Path | None = None,
    output: Path | None = None,
    reopen_test: bool = False,
    how: HowChosen | None = None,
    command: str = "hpsearch export-best",
    on_chosen: Callable[[], None] = lambda: None,
    on_epoch: OnEpoch = lambda *_: None,
) -> Export:
    """Hold finals, then retrain, test and export the best recipe of a study.

    Whatever cuts it off, the same call goes on: finals and networks that were trained stay.

    Args:
        study: The study.
        data_dir: Where to look for data first; None is where the search found it.
        output: The folder to write; by default one in the study.
        reopen_test: Whether the test part may be opened again after it was opened before.
        how: How the recipe is chosen, and what is exported of it.
        command: What the record says opened the test part.
        on_chosen: Told when the choice is written down, before the retraining.
        on_epoch: Told of every epoch of the retraining: which network, the epoch, how many there will be.

    Raises:
        InputError: A format cannot hold what would be exported.
        StudyError: There is nothing to export, or the test part was opened before.
        RunError: Finals or retraining failed, or the exported file does not give the same score again.
    """
    how = how or HowChosen()
    with study.writing():
        info = study.info()
        choose_backend(how.terms.workplace.hardware, info, how.tell)
        folder = output or study.path / "export"
        _check_apart(study, folder)
        for place in {folder, *(Path(each["folder"]) for each in info.test_openings[-1:] if "folder" in each)}:
            settle(place, how.tell)
        cut_off = bool(info.test_openings) and not info.test_openings[-1].get("finished", True)
        if info.test_openings and not reopen_test and not cut_off:
            best = now_best(study, info)
            refuse_texts(study, info, [best], how.formats)
            return _with_formats(study, info, best, _earlier(study, info, best, folder), folder, how)
        if how.finals:
            refuse_texts(study, info, entrants_now(study, info, how.terms), how.formats)
        check_place(folder, [*_WRITTEN, *files_of(how.formats)], _of_earlier(study, folder))
        choice = _choice(study, info, how, data_dir)
        refuse_texts(study, info, [choice.chosen], how.formats)
        record_choice(study, choice, ensemble=how.ensemble)
        on_chosen()
        setup = setup_of(study, info, data_dir)
        options = how.terms.workplace.hardware
        found = retrained(study, info, setup, choice.trainings(study), on_epoch, options, how.tell)
        shipped = [each.model for each in found]
        with placed(folder, how.tell) as building:
            together = _together(found[: len(choice.seeds)], building) if how.ensemble else None
            if together is not None:
                shipped.append(building / "model.keras")
            scored = _opened(study, setup, info, choice, shipped, folder, command)
            export = _said(choice, found, scored, info, folder, together)
            _collect(study, building, found, choice, export)
            export = replace(export, formats=add_formats(study.path, building, how.formats))
            info.test_openings[-1]["finished"] = True
            _write(building, study, info, replace(choice.chosen, seed=choice.seeds[0]), export)
        study.write_info(info)
        forget_retrained(study)
    return export


def _choice(study: StudyFolder, info: StudyInfo, how: HowChosen, data_dir: Path | None) -> Choice:
    """What is exported: the best of the finals, which are held first, or of the search."""
    if not how.finals:
        return by_search(study, info, how.terms.seeds or 1)
    finals, stopped = hold_finals(study, replace(how.terms, data_dir=data_dir), how.show, how.starting, how.tell)
    info.xla = study.info().xla  # found out in the finals, perhaps
    if stopped:
        raise RunError(f"Stopped {stopped} in the finals; nothing was chosen or tested. The same command goes on.")
    return by_finals(study, finals)


def _earlier(study: StudyFolder, info: StudyInfo, chosen: Trial, folder: Path) -> Export:
    """What was exported before, if it is the same recipe, wherever it lies.

    Raises:
        StudyError: It is another, or gone; the test part is not opened again without a word.
    """
    last = info.test_openings[-1]
    for place in (folder, Path(last["folder"])):
        export = _read(place, study, chosen)
        if export is not None:
            return export
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(last["when"]))
    gone = last["trials"][0] == chosen.name
    now = f"what was exported to {last['folder']} is gone" if gone else f"the best is now trial {chosen.name}"
    raise StudyError(
        f"The test part of study {study.name} was opened on {when} for trial {last['trials'][0]}, and {now}. A second "
        "look is no longer an honest test; if you want it all the same, say --reopen-test, and the record counts it."
    )


def _with_formats(
    study: StudyFolder, info: StudyInfo, chosen: Trial, export: Export, folder: Path, how: HowChosen
) -> Export:
    """An earlier export in its folder, with the formats that it did not have yet, which its card then tells of."""
    source, here = export.folder, realpath(export.folder) == realpath(folder)
    if here and not lacking(source, how.formats):
        return replace(export, folder=folder)
    names = _REWRITTEN if here else map(escape, files_in(source, _KNOWN))
    check_place(folder, [*names, *files_of(how.formats)], _of_earlier(study, folder))
    with placed(folder, how.tell) as building:
        for name in files_in(source, _KNOWN, unchanged=here):
            (building / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, building / name)
        added = add_formats(study.path, building, how.formats)
        if added != export.formats:
            export = replace(export, formats=added)
            chosen = replace(chosen, seed=export.seeds.seeds[0] if export.seeds else chosen.seed)
            inputs = read_json(building / "inputs.json")["inputs"]
            write_text(building / "README.md", card(study, info, chosen, export, inputs, _names(building)))
    return replace(export, folder=folder)


def _read(folder: Path, study: StudyFolder, chosen: Trial) -> Export | None:
    """What an earlier call wrote, or None where there is no complete export of this trial."""
    try:
        record = read_json(folder / "metrics.json")
        if record["study"] != study.name or record["chosen"]["trial"] != chosen.number:
            return None
        export = Export(
            folder=folder,
            chosen=Tested(**record["chosen"]),
            baseline=Tested(**record["baseline"]) if record["baseline"] else None,
            train_images=record["train_images"],
            test_images=record["test_images"],
            difference=record["reload_difference"],
            before=True,
            seeds=Seeds(**record["seeds"]) if record.get("seeds") else None,
            baseline_seeds=Seeds(**record["baseline_seeds"]) if record.get("baseline_seeds") else None,
            finals=record.get("finals", False),
            ensemble=record.get("ensemble", False),
            formats=tuple(Converted(**each) for each in record.get("formats", ())),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return export if (folder / "model.keras").exists() else None


def _check_apart(study: StudyFolder, folder: Path) -> None:
    """Refuse a folder of the record, where what an export writes would be taken for something else, and deleted."""
    record = realpath(study.path)
    if any(Path(realpath(folder)).is_relative_to(Path(record, each)) for each in _OF_RECORD):
        raise StudyError(f"{folder} is for the record of study {study.name}; name another folder with --output.")


def _of_earlier(study: StudyFolder, folder: Path) -> list[str]:
    """What an export without a list may hold, as an earlier version wrote it; only the study's own is taken for one."""
    with suppress(OSError, ValueError, TypeError):
        record = read_json(folder / "metrics.json")
        if realpath(folder) == realpath(study.path / "export") and {"study", "chosen"} <= {*record}:
            return [*_KNOWN, *beside_script(folder)]
    return []


def _together(found: Sequence[Retrained], building: Path) -> int:
    """Write the model that answers with the mean of all seeds; returns how many parameters it has."""
    request = Average(tuple(each.model for each in found), (building / "model.keras").resolve())
    averaged: Averaged = answered(request)
    return averaged.parameters


def _opened(
    study: StudyFolder, setup: Setup, info: StudyInfo, choice: Choice, models: list[Path], folder: Path, command: str
) -> Scored:
    """Open the test part, once, in a fresh process that loads the files; what they give must be what was saved."""
    trials = study.trials()
    finals = study.finals.trials() if choice.finals else []
    opening = {
        "when": time.time(),
        "command": command,
        "trials": [trial.name for trial in (choice.chosen, choice.baseline) if trial],
        "trials_before": len(trials),
        "validation_looks": sum(trial.epochs for trial in (*trials, *finals)),
        "folder": str(folder.resolve()),
        "finished": False,
    }
    # One that was cut off before anybody saw a score, for the same networks, is gone on with and is not another.
    last = info.test_openings[-1] if info.test_openings else {}
    same = last.get("trials") == opening["trials"] and not last.get("finished", True)
    info.test_openings[len(info.test_openings) - same :] = [opening]
    study.write_info(info)
    paths = tuple(path.resolve() for path in models)
    scored: Scored = answered(Score(setup.space_file, setup.imports, setup.data_dir, setup.skip_bad_images, paths))
    if not scored.difference <= SAME:
        raise RunError(
            f"The exported file gives other answers when it is loaded, by {scored.difference:.2g}; it was not kept."
        )
    return scored


def _said(
    choice: Choice, found: Sequence[Retrained], scored: Scored, info: StudyInfo, folder: Path, together: int | None
) -> Export:
    """What was trained and what it scores; `together` is the size of the model of all seeds, where that is exported."""
    count, images = len(choice.seeds), scored.images
    metric = info.objective.split()[-1]
    first, seeds = found[0], [each.training.seed for each in found]
    mine, theirs = (Networks(scored.scores[part], scored.answers[part]) for part in _parts(count))
    parameters, scores = first.parameters, scored.scores[0]
    if together is not None:
        parameters, scores = together, scored.scores[-1]
    baseline = baseline_seeds = None
    if choice.baseline is not None:
        other, score = found[count], choice.baseline_score
        baseline = _tested(choice.baseline, score, other.parameters, other, scored.scores[count], images, metric)
        baseline_seeds = every_seed(metric, seeds[count : 2 * count], theirs, None, scored.labels)
    return Export(
        folder=folder,
        chosen=_tested(choice.chosen, choice.score, parameters, first, scores, images, metric),
        baseline=baseline,
        train_images=first.images,
        test_images=images,
        difference=scored.difference,
        seeds=every_seed(metric, seeds[:count], mine, theirs if choice.baseline else None, scored.labels),
        baseline_seeds=baseline_seeds,
        finals=choice.finals is not None,
        ensemble=together is not None,
    )


def _parts(count: int) -> tuple[slice, slice]:
    """Where among all networks those of the chosen recipe are, and those of the best hand-made one."""
    return slice(count), slice(count, 2 * count)


def _tested(
    trial: Trial, score: float, parameters: int, found: Retrained, scores: dict[str, float], images: int, metric: str
) -> Tested:
    return tested(trial.number, trial.name, score, parameters, found.epochs, scores, images, metric)


def _collect(study: StudyFolder, building: Path, found: Sequence[Retrained], choice: Choice, export: Export) -> None:
    """Bring what is shipped together: the exported model and what it takes, and the hand-made one."""
    model = building / "model.keras"
    if not export.ensemble:
        for ending in (".keras", ".probe.npz", ".inputs.json"):
            shutil.copyfile(found[0].model.with_suffix(ending), model.with_suffix(ending))
    if choice.baseline is not None:
        shutil.copyfile(found[len(choice.seeds)].model, building / "baseline.keras")
    place_script(found[0].model, building)
    # Whoever asks for another format later has it compared with the same rows.
    shutil.move(model.with_suffix(".probe.npz"), study.path / "probe.npz")
    model.with_suffix(".inputs.json").replace(building / "inputs.json")


def _write(folder: Path, study: StudyFolder, info: StudyInfo, chosen: Trial, export: Export) -> None:
    record: dict[str, Any] = {
        "study": study.name,
        "objective": info.objective,
        "data": {"declared": info.data_text, "fingerprint": info.data_fingerprint, "subset": info.subset},
        "train_images": export.train_images,
        "test_images": export.test_images,
        "chosen": asdict(export.chosen),
        "baseline": asdict(export.baseline) if export.baseline else None,
        "finals": export.finals,
        "ensemble": export.ensemble,
        "seed": chosen.seed,
        "seeds": asdict(export.seeds) if export.seeds else None,
        "baseline_seeds": asdict(export.baseline_seeds) if export.baseline_seeds else None,
        "reload_difference": export.difference,
        "formats": [asdict(each) for each in export.formats],
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
    inputs = read_json(folder / "inputs.json")["inputs"]
    write_text(folder / "README.md", card(study, info, chosen, export, inputs, _names(folder)))


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
