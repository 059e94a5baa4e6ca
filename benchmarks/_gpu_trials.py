"""Trials an hour at equal epochs: Keras Tuner's random search, and random search by hpsearch with the device engine."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from _gpu import Setting, table, write
from _gpu_data import cifar_folder
from _race_data import prepared
from _searches import SOURCE, command

__all__ = ["trials"]

HERE = Path(__file__).resolve().parent
EPOCHS = 12
"""Of every trial, as `benchmarks/spaces/race.py` and the peers' network have it."""
PROCESSES = 8
"""Of hpsearch: most of a trial here is tracing and compiling, which a GPU waits for and sixteen cores do not."""


def trials(setting: Setting) -> None:
    """Measure, and write ``trials.json`` and ``trials.md``.

    Args:
        setting: Where and how long; each of the two has half of the time.
    """
    name, count, held_out = ("digits", 200, 100) if setting.tiny else ("cifar10", 45_000, 5_000)
    seconds = setting.seconds / 2 - 15
    processes = 1 if setting.tiny else PROCESSES
    with TemporaryDirectory() as folder:
        images = prepared(name, cifar_folder(), count, held_out, Path(folder))
        found = {"Keras Tuner RandomSearch": _keras_tuner(images.job, seconds, Path(folder))}
        found["hpsearch, random"] = _hpsearch(images.declared, seconds, Path(folder), processes)
    lines = [
        (who, said["trials"], f"{said['hourly']:.0f}", f"{said['best']:.3f}", f"{said['median']:.3f}")
        for who, said in found.items()
    ]
    first, second = (said["hourly"] for said in found.values())
    ratio = f"{second / first:.1f} times as many" if first else "no trial of Keras Tuner ended"
    text = (
        f"{name}, {count:,} images, {held_out:,} to validate on, {EPOCHS} epochs a trial, {seconds:.0f} s each, "
        f"hpsearch with --per-device {processes}, "
        f"the start of the process included: {ratio}.\n\n"
        + table(("", "trials", "an hour", "best validation accuracy", "median"), lines)
    )
    write(setting, "trials", {"data": name, "seconds": seconds, "processes": processes, "found": found}, text)


def _keras_tuner(job: dict[str, Any], seconds: float, folder: Path) -> dict[str, Any]:
    own = folder / "keras_tuner"
    own.mkdir()
    log = own / "log.jsonl"
    job = {**job, "who": "kt-random", "seed": 0, "blocks": "keras", "log": str(log), "folder": str(own)}
    (own / "job.json").write_text(json.dumps(job), encoding="utf-8")
    _for_a_while([sys.executable, HERE / "_race_peer.py", own / "job.json"], seconds, own)
    scores: list[list[float]] = []
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        said = json.loads(line)
        if "values" in said:
            scores.append([])
        elif "score" in said:
            scores[-1].append(said["score"])
    return _counted([max(each) for each in scores if len(each) == EPOCHS], seconds, own)


def _hpsearch(declared: dict[str, Any], seconds: float, folder: Path, processes: int) -> dict[str, Any]:
    own = folder / "hpsearch"
    own.mkdir()
    space = own / "race.py"
    text = (HERE / "spaces" / "race.py").read_text(encoding="utf-8")
    data = "from dataclasses import replace\nfrom hpsearch import Arrays\nspace = replace(space, data=Arrays({file!r}, "
    data += "input_shape={shape}, classes={classes}, white={white}, validation={validation}), baselines=None)\n"
    space.write_text(text + data.format(**declared), encoding="utf-8")
    options = ["--strategy", "random", "--engine", "device", "--per-device", processes, "--per-trial", "1h"]
    _for_a_while(command("run", space, "--study", "race", *options, results=own / "results"), seconds, own)
    folders = (own / "results" / "race" / "trials").glob("*/trial.json")
    ended = [json.loads(path.read_text(encoding="utf-8")) for path in folders]
    return _counted([trial["score"] for trial in ended if trial["state"] == "COMPLETE"], seconds, own)


def _counted(scores: list[float], seconds: float, own: Path) -> dict[str, Any]:
    if not scores:
        print((own / "output.txt").read_text(encoding="utf-8")[-2000:], file=sys.stderr)  # noqa: T201  # why, perhaps
    return {
        "trials": len(scores),
        "hourly": 3600 * len(scores) / seconds,
        "best": max(scores, default=0.0),
        "median": statistics.median(scores) if scores else 0.0,
    }


def _for_a_while(command: list[Any], seconds: float, own: Path) -> None:
    """Let a process run for some time, then end it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])}
    with (own / "output.txt").open("w") as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, env=environment)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait(60)
