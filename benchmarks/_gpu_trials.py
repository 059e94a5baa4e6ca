"""Trials an hour at equal epochs: random search by hpsearch, and by Keras Tuner on JAX."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from _gpu import ROOT, Setting
from _searches import command

__all__ = ["ended_trials", "peer", "stop", "trials"]

EPOCHS = 12
"""Of every trial, as `benchmarks/spaces/race.py` and the peers' network have it."""
PROCESSES = (1, 8)
IMAGES = 45_000, 5_000
"""To train on, and to validate on."""
TAIL = 3.0
"""Seconds at the end of a part that are left for ending what runs."""
LOOK = 0.2
SPACE = """
from dataclasses import replace
from hpsearch import Arrays
data = Arrays({file!r}, input_shape={shape}, classes={classes}, white={white}, validation={validation})
space = replace(space, data=data, baselines=None)
"""


@dataclass(frozen=True)
class Ended:
    """A trial that was trained to its end: when, on the clock of the wall, and its best score."""

    began: float
    ended: float
    score: float


def trials(setting: Setting) -> None:
    """Search with one process, then with several; each has its share of the time.

    Args:
        setting: Where, and until when.
    """
    declared = _images(setting)["declared"]
    space = setting.work / "race.py"
    text = (ROOT / "benchmarks" / "spaces" / "race.py").read_text(encoding="utf-8")
    space.write_text(text + SPACE.format(**declared), encoding="utf-8")
    numbers = (1, 2) if setting.tiny else PROCESSES
    for place, number in enumerate(numbers):
        results = setting.work / f"by{number}"
        # Another seed has other recipes, so that none was compiled before.
        options = ["--strategy", "random", "--engine", "device", "--per-device", number, "--seed", place]
        words = command("run", space, "--study", "race", *options, results=results)
        share = 1 if setting.tiny else len(numbers) - place  # of a few images one trial is enough
        last = time.monotonic() + (setting.left() - TAIL) / share
        row = f"hpsearch, processes: {number}"
        _counted(setting, row, words, results / "log.txt", last, partial(_finished, results))


def peer(setting: Setting) -> None:
    """Search with Keras Tuner.

    Args:
        setting: Where, and until when.
    """
    own = setting.work / "keras_tuner"
    own.mkdir()
    log = own / "log.jsonl"
    told = {"who": "kt-random", "seed": 0, "blocks": "keras", "log": str(log), "folder": str(own)}
    (own / "job.json").write_text(json.dumps({**_images(setting)["job"], **told}), encoding="utf-8")
    words = [sys.executable, str(ROOT / "benchmarks" / "_race_peer.py"), str(own / "job.json")]
    last = setting.deadline - TAIL
    _counted(setting, "Keras Tuner, RandomSearch", words, own / "log.txt", last, lambda: _logged(log))


def stop(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask a search to end in good order, then at once.

    Args:
        process: It.
        seconds: How long it may take before it is asked again.
    """
    for wait in (seconds, 1.0):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(max(wait, 0.1))
        except subprocess.TimeoutExpired:
            continue
        return
    process.kill()


def ended_trials(results: Path) -> list[Mapping[str, Any]]:
    """The trials of all studies in a folder that ended with a score.

    Args:
        results: The folder.
    """
    found = []
    for path in results.glob("*/trials/*/trial.json"):
        with contextlib.suppress(OSError):  # a trial that turns out to be the double of another is deleted
            found.append(json.loads(path.read_text(encoding="utf-8")))
    return [trial for trial in found if trial["state"] in ("COMPLETE", "PRUNED") and trial["score"] is not None]


def _counted(
    setting: Setting, row: str, words: Sequence[str], log: Path, last: float, ended: Callable[[], list[Ended]]
) -> None:
    """Run a search until a moment, and say after every trial how many there were."""
    log.parent.mkdir(parents=True, exist_ok=True)
    known = {**os.environ, "HPSEARCH_CACHE": str(log.parent / "cache")}
    began, told = time.time(), 0
    with log.open("wb") as output:
        process = subprocess.Popen(list(words), stdout=output, stderr=output, env=known)
    while process.poll() is None and time.monotonic() < last:
        time.sleep(LOOK)
        done = ended()
        if len(done) > told:
            told = len(done)
            setting.row(row, **_figures(done, began))
        if told and setting.tiny:
            break
    if process.poll() is None:
        stop(process, 1.0)
    if not told:
        setting.note(f"{row}: no trial ended in {time.time() - began:.0f} s.")
        print(log.read_text(encoding="utf-8", errors="replace")[-2000:])  # noqa: T201  # why, perhaps


def _figures(done: Sequence[Ended], began: float) -> dict[str, Any]:
    first, last = min(trial.began for trial in done), max(trial.ended for trial in done)
    scores = [trial.score for trial in done]
    return {
        "trials": len(done),
        "trials_an_hour": 3600 * len(done) / (last - first),
        "seconds_of_a_trial_median": statistics.median(trial.ended - trial.began for trial in done),
        "seconds_before_the_first": first - began,
        "best_validation_accuracy": max(scores),
        "median": statistics.median(scores),
    }


def _finished(results: Path) -> list[Ended]:
    done = [trial for trial in ended_trials(results) if trial["state"] == "COMPLETE"]
    return [Ended(trial["started"], trial["finished"], trial["score"]) for trial in done]


def _logged(log: Path) -> list[Ended]:
    """The trials in the log of a peer: a line when a network is built, and one after every epoch."""
    found, began, scores = [], 0.0, list[float]()
    for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else ():
        said = json.loads(line) if line.endswith("\n") else {}
        if "values" in said:
            began, scores = said["time"], []
        elif "score" in said:
            scores.append(said["score"])
            if len(scores) == EPOCHS:
                found.append(Ended(began, said["time"], max(scores)))
    return found


def _images(setting: Setting) -> dict[str, Any]:
    """What each contestant is told of the images, which are drawn and written once."""
    known = setting.work / "race.json"
    if not known.exists():
        from _race_data import prepared

        count, held_out = (256, 44) if setting.tiny else IMAGES
        images = prepared("cifar10", setting.data, count, held_out, setting.work)
        known.write_text(json.dumps({"job": images.job, "declared": images.declared}), encoding="utf-8")
    found: dict[str, Any] = json.loads(known.read_text(encoding="utf-8"))
    return found
