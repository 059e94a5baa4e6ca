"""A search of `spaces/cifar_fast.py` on a clock; its best, trained again; the test part is opened last, once."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

from _gpu import Setting
from _gpu_space import fast_space
from _gpu_trials import ended_trials, stop
from _searches import command

__all__ = ["picture", "refit", "search"]

STUDY = "sweep"
PROCESSES = 6
STOPPING = 12.0
"""Seconds at the end of the search that are left for its end; one that compiles hears of it late."""
LOOK = 0.5
BEST = 5
"""So many of the best trials are told."""


def search(setting: Setting) -> None:
    """Search until the seconds are over.

    No time budget is told to hpsearch: by one it puts off networks made by hand that it takes to be long, from what
    a smaller one took for each operation. On a GPU that foresees ten times what they take.

    Args:
        setting: Where, and until when.
    """
    processes = 2 if setting.tiny else PROCESSES
    options = ["--study", STUDY, "--per-device", processes, "--checkpoint-every", "20s", "--data-dir", setting.data]
    words = command("run", fast_space(setting), *options, results=setting.work / "results")
    began, known = time.time(), 0
    process = subprocess.Popen(words, env={**os.environ, "HPSEARCH_CACHE": str(setting.work / "cache" / "sweep")})
    while process.poll() is None and setting.left() > STOPPING:
        time.sleep(LOOK)
        ended = ended_trials(setting.work / "results")
        if len(ended) > known:
            known = len(ended)
            _tell(setting, ended, processes, began)
        if known and setting.tiny:
            break
    if process.poll():
        raise SystemExit("The search failed.")
    stop(process, STOPPING / 2)


def _tell(setting: Setting, ended: Sequence[Mapping[str, Any]], processes: int, began: float) -> None:
    curve: list[tuple[float, float]] = []
    for trial in sorted(ended, key=lambda trial: float(trial["finished"])):
        if not curve or trial["score"] > curve[-1][1]:
            curve.append(((trial["finished"] - began) / 60, trial["score"]))
    setting.row(
        "search",
        processes=processes,
        trials=len(ended),
        best_validation_accuracy=curve[-1][1],
        seconds=statistics.median(trial["seconds"] for trial in ended),
        minutes=curve[-1][0],
        curve=curve,
    )
    for trial in ended:
        if trial["baseline"]:
            _row(setting, trial["baseline"], trial, began)
    ranked = sorted(ended, key=lambda trial: -float(trial["score"]))
    for place, trial in enumerate(ranked[:BEST], start=1):
        _row(setting, f"{place}. of all", trial, began)


def _row(setting: Setting, row: str, trial: Mapping[str, Any], began: float) -> None:
    setting.row(
        row,
        trial=str(trial["baseline"] or trial["number"]),
        best_validation_accuracy=trial["score"],
        seconds=trial["seconds"],
        minutes=(trial["finished"] - began) / 60,
        epochs=trial["epochs"],
        parameters=trial["parameters"],
    )


def refit(setting: Setting) -> None:
    """Train the best trial on train and validation, then open the test part for it.

    That is what ``hpsearch export-best --no-finals`` does, for the chosen network alone.

    Args:
        setting: Where, and until when.
    """
    from dataclasses import replace

    from hpsearch.errands import Score
    from hpsearch.hardware import HardwareOptions
    from hpsearch.launch import answered
    from hpsearch.results.choice import by_search, record_choice
    from hpsearch.results.retrain import retrained
    from hpsearch.results.setup import setup_of
    from hpsearch.results.tested import tested
    from hpsearch.study.folder import open_study

    study = open_study(setting.work / "results", STUDY)
    with study.writing():
        info = study.info()
        choice = replace(by_search(study, info, 1), baseline=None)
        record_choice(study, choice, ensemble=False)
        setting.note(f"Chosen: {choice.chosen.name}, validation accuracy {choice.score:.4f}.")
        setup = setup_of(study, info, setting.data)
        began = time.monotonic()
        (found,) = retrained(
            study, info, setup, choice.trainings(study), lambda *_: None, HardwareOptions(), setting.note
        )
        trained = time.monotonic() - began
        score = Score(setup.space_file, setup.imports, setup.data_dir, setup.skip_bad_images, (found.model,))
        scored = answered(score)
    name, images = choice.chosen.name, scored.images
    told = tested(
        choice.chosen.number, name, choice.score, found.parameters, found.epochs, scored.scores[0], images, "accuracy"
    )
    setting.row(
        name,
        test_accuracy=told.accuracy,
        low=told.low,
        high=told.high,
        test_images=images,
        validation_accuracy=choice.score,
        train_images=found.images,
        epochs=found.epochs,
        seconds_of_training=trained,
    )


def picture(setting: Setting) -> None:
    """Draw the best score over the minutes beside the ceiling and the test part.

    Args:
        setting: Where, and until when.
    """
    import json

    rows: dict[str, dict[str, Any]] = {}
    for line in setting.said.read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        if "row" in said:
            rows.setdefault(said["part"], {})[said["row"]] = said["figures"]
    try:
        from _figures import draw_sweep

        curve = rows["search"]["search"]["curve"]
        levels = {f"ceiling, {name}": row["test_accuracy"] for name, row in rows.get("ceiling", {}).items()}
        levels |= {f"test part, {name}": row["test_accuracy"] for name, row in rows.get("refit", {}).items()}
        draw_sweep(curve, levels, setting.work / "picture.new.png")
    except ImportError:
        setting.note("matplotlib is missing here, so there is no picture.")
    except KeyError:
        setting.note("There is nothing to draw.")
    else:
        (setting.work / "picture.new.png").rename(setting.work / "picture.png")
