"""Where the seconds of a trial go, stage by stage.

Claims nothing. Three trials of a small convolutional network are
trained in one process as a worker trains them, with checkpoints, each stage under a stopwatch. The first trial shows
what happens once in a process, the median of the others what every trial pays.

    python benchmarks/seconds.py
    KERAS_BACKEND=jax python benchmarks/seconds.py --epochs 6 --widths 32 64 64

The images are noise with a trace of their class: seconds do not depend on what is in them.
"""

# ruff: noqa: T201, E402  # a table on standard output is what this is for; importing is timed

from __future__ import annotations

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_BEGAN = time.perf_counter()
import hpsearch.training.fit

_IMPORTED = time.perf_counter() - _BEGAN

import argparse
import functools
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import keras
from _machine import machine, words
from _training import Seconds, noise

from hpsearch import ConvNet, Model, Recipe, Stage, Training
from hpsearch.resolve import from_answers
from hpsearch.training.build import build
from hpsearch.training.course import Course
from hpsearch.training.inputs import image_inputs
from hpsearch.training.measure import measure
from hpsearch.training.saving import Keeper, Saving
from hpsearch.training.statistics import Statistics

INPUTS = image_inputs((32, 32, 3), 10, 255.0)
TRIALS = 3


class Stopwatch:
    """Adds up the seconds of what it is told to watch."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def watch(self, owner: Any, name: str, called: str) -> None:
        """Time every call of a function.

        Args:
            owner: A class or a module.
            name: The function in it.
            called: What the table calls it.
        """
        original = getattr(owner, name)

        @functools.wraps(original)
        def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return original(*args, **options)
            finally:
                self.seconds[called] += time.perf_counter() - began

        setattr(owner, name, timed)


def main() -> None:
    """Train, and print where the seconds went."""
    options = _options()
    watch = Stopwatch()
    watch.watch(hpsearch.training.fit, "evaluate", "score on training images")
    watch.watch(Statistics, "find", "statistics of batch normalisation")
    watch.watch(Course, "_keep_best", "copy of the best weights")
    watch.watch(Keeper, "write", "checkpoints")
    table = _table(options, [_trial(options, watch, number) for number in range(TRIALS)])
    print(table)
    if options.output:
        options.output.write_text(table + "\n", encoding="utf-8")


def _table(options: argparse.Namespace, trials: list[dict[str, float]]) -> str:
    later = {stage: statistics.median(trial[stage] for trial in trials[1:]) for stage in trials[0]}
    rows = [
        f"| {stage} | {trials[0][stage]:.2f} | {seconds:.2f} | {seconds / sum(later.values()):.1%} |"
        for stage, seconds in later.items()
    ]
    return "\n".join(
        [
            f"{words(machine())}; Keras on {keras.config.backend()}",
            (
                f"{' '.join(map(str, options.widths))} filters, two convolutions a stage; {options.images} images, "
                f"{options.validation} to validate on, {options.epochs} epochs, batch 128; {TRIALS - 1} later trials"
            ),
            "",
            f"Importing Keras and its backend: {_IMPORTED:.2f} s, once for all workers",
            "",
            "| | the first trial | later ones | share of later ones |",
            "| --- | --- | --- | --- |",
            *rows,
            f"| in all | {sum(trials[0].values()):.2f} | {sum(later.values()):.2f} | |",
        ]
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Where the seconds of a trial go.")
    parser.add_argument("--images", type=int, default=4000, help="to train on")
    parser.add_argument("--validation", type=int, default=2000, help="images to validate on")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--output", type=Path, help="a .md for the table")
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 64], help="filters of each stage")
    return parser.parse_args()


def _trial(options: argparse.Namespace, watch: Stopwatch, seed: int) -> dict[str, float]:
    """The seconds of each stage of a trial."""
    train, validation = noise(options.images, 0), noise(options.validation, 1)
    stages = [Stage(filters=(width, width)) for width in options.widths]
    recipe = Recipe(
        model=Model(body=ConvNet(stages=stages, batchnorm="after_activation"), pooling="average"),
        training=Training(epochs=options.epochs, batch_size=128),
    )
    watch.seconds.clear()
    began = time.perf_counter()
    keras.utils.clear_session()
    measure(recipe, INPUTS)
    measured = time.perf_counter()
    built = build(recipe, INPUTS, from_answers({}))
    done = time.perf_counter()
    epochs = Seconds()
    with tempfile.TemporaryDirectory() as folder:
        hpsearch.training.fit.fit(
            built,
            train,
            validation,
            INPUTS,
            metric="val_accuracy",
            maximize=True,
            seed=seed,
            watch=epochs,
            saving=Saving(Path(folder), "recipe", 0.0, None),
        )
    whole = time.perf_counter() - done
    steady = statistics.median(epochs.epochs[1:])
    alone = _validation_seconds(built, validation)
    known = dict(watch.seconds)
    in_epochs = sum(known[name] for name in ("statistics of batch normalisation", "copy of the best weights"))
    steps = steady * len(epochs.epochs) - alone * len(epochs.epochs) - in_epochs
    stages_ = {
        "measuring the network before it is built": measured - began,
        "building it": done - measured,
        "tracing and compiling, in the first epoch": max(epochs.epochs[0] - steady, 0.0),
        "steps of training": steps,
        "validation": alone * len(epochs.epochs),
        **known,
    }
    stages_["everything else"] = max(whole - sum(list(stages_.values())[2:]), 0.0)
    return stages_


def _validation_seconds(built: Any, validation: Any) -> float:
    """One more validation, of a network that is traced already."""
    images, labels = validation.images, validation.labels
    built.network.evaluate(images, labels, batch_size=128, verbose=0)
    began = time.perf_counter()
    built.network.evaluate(images, labels, batch_size=128, verbose=0)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
