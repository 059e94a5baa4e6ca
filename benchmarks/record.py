"""Learning curves of many recipes of a space, for `simulate.py` to replay.

Claims nothing. Recipes are drawn at random, and each is trained to its last epoch by `hpsearch run --strategy random`;
the starts of the default strategy and the networks made by hand are trained too. With `--near`, more are drawn near the
best of these, where searches end up and random recipes are few. What is kept: the choices, the score after every epoch,
and the seconds.

    python benchmarks/record.py spaces/digits.py --trials 300
    python benchmarks/record.py spaces/cifar.py --trials 200 --subset 4000 --epochs 12 --data-dir DATA

A call that was cut off goes on. Into the file goes the text of the space, so that it can be replayed wherever it lies.
"""

# ruff: noqa: T201  # what was kept, on standard output

from __future__ import annotations

import argparse
import json
import math
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from _curves import write_curves
from _machine import machine
from _searches import copied, given, hpsearch, shown

from hpsearch.addresses import Choices, Parameter
from hpsearch.declare import source
from hpsearch.domains import Between, Scalar
from hpsearch.resolve import Suggest, from_answers, resolve
from hpsearch.spacefile import load_space
from hpsearch.strategies.starts import STARTS
from hpsearch.study.folder import StudyFolder, open_study
from hpsearch.study.trial import Trial, finite

ROUNDS = 3
"""In so many steps recipes near the best are drawn, so that some are near what was found by then."""
BEST = 10
CHANGED = 0.15
"""The chance that a choice is another than that of the recipe nearby."""

ROOT = Path(__file__).resolve().parents[1]
_HIDDEN = {"--data-dir": "DATA", "--studies": "STUDIES", "--output": "OUTPUT"}


def main() -> int:
    """Train, and write what was seen."""
    options = _options()
    name = options.space.stem
    space = copied(options.space, options.replace, options.studies / "recorded")
    limits = [*given("--subset", options.subset), *given("--epochs", options.epochs)]
    data = given("--data-dir", options.data_dir)
    run = ["run", space, "--study", f"curves_{name}", "--strategy", "random", *limits, *data]
    run += ["--devices", "cpu", "--keep", "0"]
    folder = options.studies / f"curves_{name}"
    starts = _starts(space)
    if not (folder / "study.json").exists():
        # A study begins with the networks made by hand, or where there are none with a random recipe.
        hpsearch(*run, "--trials", 0 if load_space(space).baselines else 1, results=options.studies)
        for at, recipe in enumerate(starts):
            _enqueue(recipe, f"start_{at}", space, f"curves_{name}", options)
    hpsearch(*run, "--trials", options.trials, results=options.studies)
    for number in range(ROUNDS):
        more = round(options.near * (number + 1) / ROUNDS)
        _enqueue_near(space, f"curves_{name}", options.trials + more, options)
        hpsearch(*run, "--trials", options.trials + more, results=options.studies)
    study = open_study(options.studies, f"curves_{name}")
    said = _said(study, space, name, starts)
    output = options.output or ROOT / "benchmarks" / "curves" / f"{name}.json.gz"
    output.parent.mkdir(parents=True, exist_ok=True)
    write_curves(output, said)
    epochs = sum(len(each["scores"]) for each in said["trials"])
    print(f"{len(said['trials'])} recipes, {epochs} epochs, {output.stat().st_size / 1000:.0f} kB: {output.name}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Learning curves of many recipes of a space.")
    parser.add_argument("space", type=Path, help="a space file")
    parser.add_argument("--trials", type=int, default=300, help="how many recipes, starts included")
    parser.add_argument("--near", type=int, default=0, help="how many more, near the best")
    parser.add_argument("--subset", type=int, help="as of hpsearch run")
    parser.add_argument("--epochs", type=int, help="as of hpsearch run")
    parser.add_argument("--replace", nargs=2, action="append", default=[], metavar=("OLD", "NEW"), help="a text in it")
    parser.add_argument("--data-dir", type=Path, help="as of hpsearch run")
    parser.add_argument("--studies", type=Path, default=ROOT / "results", help="where the study is written")
    parser.add_argument("--output", type=Path, help="a .json.gz; in benchmarks/curves if not given")
    return parser.parse_args()


def _starts(space: Path) -> list[str]:
    """The recipes that the default strategy begins with."""
    tree = load_space(space).search
    return list(dict.fromkeys(source(resolve(tree, start.choice)) for start in STARTS))


def _enqueue_near(space: Path, name: str, trials: int, options: argparse.Namespace) -> None:
    """Have recipes drawn near the best, until the study has so many trials."""
    study = open_study(options.studies, name)
    sign = 1 if study.info().objective.startswith("max") else -1
    ended = [trial for trial in study.trials() if trial.state == "COMPLETE" and trial.answers]
    best = sorted(ended, key=lambda trial: -sign * (trial.score or -math.inf))[:BEST]
    tree, found = load_space(space).search, Random(trials)
    wanted = trials + len(load_space(space).baselines or {}) - len(study.trials())
    known = {trial.recipe for trial in study.trials()}
    for at in range(wanted):
        while (recipe := source(resolve(tree, _near(found.choice(best), found)))) in known:
            pass
        known.add(recipe)
        _enqueue(recipe, f"near_{trials}_{at}", space, name, options)


def _enqueue(recipe: str, called: str, space: Path, study: str, options: argparse.Namespace) -> None:
    file = space.with_name(f"{space.stem}_{called}.txt")
    file.write_text(recipe, encoding="utf-8")
    with suppress(subprocess.CalledProcessError):  # two texts may mean the same network, which is not trained twice
        hpsearch("enqueue", space, "--recipe", file, "--study", study, results=options.studies)


def _near(parent: Trial, found: Random) -> Suggest:
    """The choices of a trial, some of them changed."""
    known = from_answers(parent.answers)

    def suggest(parameter: Parameter) -> Scalar:
        if parameter.name in parent.answers and found.random() >= CHANGED:
            return known(parameter)
        return _drawn(parameter.domain, found)

    return suggest


def _drawn(domain: Choices | Between, found: Random) -> Scalar:
    if isinstance(domain, Choices):
        return found.choice(domain.labels)
    low, high = (math.log(domain.low), math.log(domain.high)) if domain.log else (domain.low, domain.high)
    value = found.uniform(low, high)
    return domain.snapped(math.exp(value) if domain.log else value)


def _said(study: StudyFolder, space: Path, name: str, starts: list[str]) -> dict[str, Any]:
    described = json.loads((study.path / "study.json").read_text(encoding="utf-8"))
    direction, _, metric = described["objective"].partition(" ")
    trials = sorted(study.trials(), key=lambda trial: trial.number)
    kept = [trial for trial in trials if trial.state == "COMPLETE" and trial.answers]
    return {
        "name": name,
        "space": space.read_text(encoding="utf-8"),
        "maximize": direction == "max",
        "metric": metric,
        "epochs": max(trial.epochs_budget for trial in kept),
        "train": described["train_images"],
        "validation": described["validation_images"],
        "machine": machine(),
        "command": shlex.join(["python", "benchmarks/record.py", *shown(sys.argv[1:], _HIDDEN)]),
        "trials": [{**_curve(study, trial, metric), "name": _kind(trial, starts)} for trial in kept],
    }


def _curve(study: StudyFolder, trial: Trial, metric: str) -> dict[str, Any]:
    history = study.trial(trial.number).history()
    scores = [finite(epoch.metrics.get(metric)) for epoch in history]
    return {
        "answers": trial.answers,
        "scores": [None if score is None else round(score, 5) for score in scores],
        "seconds": [epoch.seconds for epoch in history],
        "overhead": round(max(trial.seconds - sum(epoch.seconds for epoch in history), 0.0), 3),
        "parameters": trial.parameters,
        "flops": trial.flops,
    }


def _kind(trial: Trial, starts: list[str]) -> str:
    if trial.recipe in starts:
        return "start"
    return "near" if trial.enqueued else trial.baseline or ""


if __name__ == "__main__":
    raise SystemExit(main())
