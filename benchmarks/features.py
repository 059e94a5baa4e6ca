"""How much faster heads are searched where the features of their frozen backbone are computed once.

Claims: the same trials find the same with kept features as without them, every score within one photo of the
validation part, in a small part of the time. The goal, for photos of 160x160 pixels, a frozen MobileNetV2 of width 0.35
and trials of up to 20 epochs, is 20 times as many trials an hour.

Two studies of the same recipes, one trial after the other, each by the command as a user starts it: one with
HPSEARCH_FEATURES=off, one with a cache that is empty at first. The rate of the second holds for its trials but the
first, which computes the features; the time that the first one takes is told, and so are both commands as a whole,
start included.

    python benchmarks/features.py PHOTOS --weights FILE.h5 --output OUT     class folders, with or without train/
    python benchmarks/features.py                                           made up photos, random weights; minutes
"""

# ruff: noqa: T201  # a table on standard output is what this is for

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _machine import machine, words
from _searches import SOURCE, command

GOAL = 20
PHOTOS = 300
"""Of each of two made up classes."""

SPACE = """
from hpsearch import (Adam, Dense, ImageFolder, MobileNetV2, Model, Recipe, Space, Training, between, one_of, repeat)

space = Space(
    data=ImageFolder({folder!r}, size={size}, classes={classes!r}),
    search=Recipe(
        model=Model(
            body=MobileNetV2(alpha=0.35, weights={weights!r}),
            pooling="average",
            dropout=between(0.0, 0.5, step=0.1),
            dense=repeat(Dense(units=one_of(32, 64, 128, 256), dropout=between(0.0, 0.5, step=0.1)), between(0, 2)),
        ),
        training=Training(
            epochs={epochs}, batch_size=one_of(32, 64), optimizer=Adam(learning_rate=between(1e-4, 1e-2, log=True))
        ),
    ),
    objective="max val_accuracy",
)
"""


def main() -> int:
    """Run both studies and print what they took."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        found = _measured(options, Path(folder))
    text = _table(found)
    print(text)
    if options.output:
        options.output.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        options.output.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    return 0 if found["ratio"] >= GOAL else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Trials an hour with kept features and without.")
    parser.add_argument("photos", type=Path, nargs="?", help="a folder of class folders; made up if not given")
    parser.add_argument("--weights", type=Path, help="weights of MobileNetV2 0.35 without top; random if not given")
    parser.add_argument("--size", type=int, default=160, help="side of the photos in pixels")
    parser.add_argument("--epochs", type=int, default=20, help="of each trial")
    parser.add_argument("--trials", type=int, default=6, help="of each study")
    parser.add_argument("--output", type=Path, help="where to write a .json and a .md")
    return parser.parse_args()


def _measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    photos = (options.photos or _made_up(folder / "photos")).resolve()
    weights = (options.weights or _random_weights(folder)).resolve()
    inner = photos / "train" if (photos / "train").is_dir() else photos
    classes = tuple(sorted(each.name for each in inner.iterdir() if each.is_dir()))
    space = folder / "space.py"
    said = {"size": options.size, "classes": classes, "weights": str(weights), "epochs": options.epochs}
    space.write_text(SPACE.format(folder=photos.name, **said), encoding="utf-8")
    with_, without = (_study(space, photos.parent, folder, options.trials, keep) for keep in (True, False))
    per_trial = statistics.mean(with_["seconds"][1:])
    differences = [abs(a - b) for a, b in zip(with_["scores"], without["scores"], strict=True)]
    return {
        "machine": machine(),
        "load": os.getloadavg()[1],
        "photos": "given" if options.photos else "made up",
        "weights": "given" if options.weights else "random",
        "size": options.size,
        "epochs": options.epochs,
        "trials": options.trials,
        "with": {**with_, "per_hour": 3600 / per_trial},
        "without": {**without, "per_hour": 3600 / statistics.mean(without["seconds"])},
        "ratio": statistics.mean(without["seconds"]) / per_trial,
        "ratio_with_first": sum(without["seconds"]) / sum(with_["seconds"]),
        "ratio_of_commands": without["wall"] / with_["wall"],
        "largest_difference": max(differences),
    }


def _study(space: Path, data: Path, folder: Path, trials: int, keep: bool) -> dict[str, Any]:
    """One study by the command."""
    name = "with" if keep else "without"
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "HPSEARCH_CACHE": str(folder / "cache"),
        "HPSEARCH_FEATURES": "on" if keep else "off",
    }
    options = ["--data-dir", data, "--trials", trials, "--strategy", "random", "--seed", 0, "--devices", "cpu"]
    began = time.monotonic()
    subprocess.run(
        command("run", space, "--study", name, *options, results=folder / "results"),
        env=environment,
        check=True,
        stdout=sys.stderr,
    )
    wall = time.monotonic() - began
    files = sorted((folder / "results" / name / "trials").glob("*/trial.json"))
    told = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    histories = [(file.parent / "history.csv").read_text(encoding="utf-8").splitlines() for file in files]
    return {
        "wall": wall,
        "seconds": [each["seconds"] for each in told],
        "scores": [each["score"] for each in told],
        "epoch_seconds": [statistics.median(float(line.split(",")[1]) for line in lines[1:]) for lines in histories],
    }


def _made_up(folder: Path) -> Path:
    """Photos of noise with a bright or a dark square."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for name, shade in (("bright", 160), ("dark", 90)):
        (folder / name).mkdir(parents=True)
        for number in range(PHOTOS):
            pixels = random.integers(60, 200, (160, 160, 3))
            x, y = random.integers(0, 100, 2)
            pixels[y : y + 60, x : x + 60] = shade
            Image.fromarray(pixels.astype("uint8")).save(folder / name / f"{number}.png")
    return folder


def _random_weights(folder: Path) -> Path:
    path = folder / "random.weights.h5"
    code = (
        "import keras; keras.utils.set_random_seed(0); keras.applications.MobileNetV2(alpha=0.35, include_top=False, "
        f"weights=None, input_shape=(160, 160, 3)).save_weights({str(path)!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
    return path


def _table(found: dict[str, Any]) -> str:
    with_, without = found["with"], found["without"]
    photos = f"{found['photos']} photos at {found['size']}x{found['size']}, {found['weights']} weights"
    rows = [
        f"{words(found['machine'])}; load {found['load']:.1f} at the end",
        f"{photos}; n = {found['trials']} trials of {found['epochs']} epochs each way, one after the other",
        "",
        "| | without | with kept features |",
        "| --- | --- | --- |",
        f"| trials an hour | {without['per_hour']:.0f} | {with_['per_hour']:.0f} |",
        (
            f"| seconds of a trial, mean | {statistics.mean(without['seconds']):.1f} "
            f"| {statistics.mean(with_['seconds'][1:]):.1f} |"
        ),
        f"| seconds of the first trial | {without['seconds'][0]:.1f} | {with_['seconds'][0]:.1f} |",
        (
            f"| seconds of an epoch, median | {statistics.median(without['epoch_seconds']):.2f} "
            f"| {statistics.median(with_['epoch_seconds']):.2f} |"
        ),
        f"| seconds of the command | {without['wall']:.0f} | {with_['wall']:.0f} |",
        "",
        _said(found),
    ]
    return "\n".join(rows)


def _said(found: dict[str, Any]) -> str:
    return (
        f"{found['ratio']:.1f} times as many trials an hour once the features are there (goal {GOAL}); "
        f"{found['ratio_with_first']:.1f} with the trial that computes them, {found['ratio_of_commands']:.1f} for the "
        f"commands as a whole. The scores differ by {found['largest_difference']:.4f} at most."
    )


if __name__ == "__main__":
    raise SystemExit(main())
