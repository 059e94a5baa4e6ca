"""Who finds the better network in the same time: hpsearch, Keras Tuner, or Optuna used by hand.

Claims: hpsearch reaches the best accuracy that any peer has at the end in a fifth of the time without a hand-made
network to start from, in a tenth with one, and ends at least 6 points above it. That is a goal; the table says what is.

Every contestant has the machine for itself, one after the other: the same images, the same choices, at most 12 epochs
of batches of 128, the same seconds on the clock from the start of its process, imports included. What counts is the
best validation accuracy of an epoch so far. Then each one's winner is trained again with other seeds, and scored on
images that nobody searched on.

    python benchmarks/race.py --data-dir DATA                      CIFAR-10, 480 s, 3 seeds: about four hours
    python benchmarks/race.py --seconds 60 --seeds 1 --data digits --contestants hpsearch optuna-median
    python benchmarks/race.py --blocks hpsearch ...                the peers with the batch normalisation of hpsearch
    python benchmarks/race.py --space MINE.py --subset 2000        the choices, data and baselines of a space file

The peers get what Keras does where nothing is said; with `--blocks hpsearch` the statistics of their batch
normalisation are found anew after every epoch, as hpsearch does, so that what comes from the strategy and what from the
blocks can be told apart. With `--space` the peers choose what the file lets vary, and hpsearch builds and trains it for
them, in their process: epochs, batches, schedules and augmentation are those of the space. What frozen backbones give
is then computed once for hpsearch, and for the peers with `--blocks hpsearch`. Keras Tuner needs tensorboard:
`pip install keras-tuner tensorboard`.
"""

# ruff: noqa: T201  # a table on standard output is what this is for

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _machine import machine
from _race_data import prepared
from _race_tables import tables
from _searches import SOURCE, command, given

from hpsearch.cli.options import use_data_dir
from hpsearch.data.loading import load_search_data
from hpsearch.spacefile import load_space

HERE = Path(__file__).resolve().parent
PEERS = ("kt-random", "kt-bayesian", "kt-hyperband", "optuna-median", "optuna-asha")
OURS = ("hpsearch", "hpsearch-baseline")
SHARES = (1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)
"""Of the time, at which the best score so far is told: 60, 120, 240, 360 and 480 seconds."""

SPACE = HERE / "spaces" / "race.py"
"""The choices of the race, which `record.py` records, too."""
DATA = """
from dataclasses import replace

from hpsearch import Arrays

data = Arrays({file!r}, input_shape={shape}, classes={classes}, white={white}, validation={validation})
space = replace(space, data=data)
"""
COLD = """
from dataclasses import replace

space = replace(space, baselines={})
"""
OBJECTIVE = "max val_accuracy"


@dataclass(frozen=True)
class Course:
    """What is raced on.

    Args:
        data: What the tables call it.
        train: How many examples there are to train on.
        validation: How many to validate on.
        job: What peers are told.
        text: The space file of hpsearch.
        given: What `hpsearch run` is given beside the seconds and the seed.
    """

    data: str
    train: int
    validation: int
    job: dict[str, Any]
    text: str
    given: list[str]


@dataclass(frozen=True)
class Told:
    """The score of an epoch.

    Args:
        seconds: Since the start of the contestant.
        score: Validation accuracy.
        trial: Which trial it belongs to; its choices for a peer, its number for hpsearch.
    """

    seconds: float
    score: float
    trial: Any


def main() -> int:
    """Run every contestant with every seed, and print the tables."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="race-")) if options.keep is None else options.keep.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    course = _by_space(options) if options.space else _by_hand(options, folder)
    found: dict[str, Any] = {
        "machine": machine(),
        "data": course.data,
        "train": course.train,
        "validation": course.validation,
        "seconds": options.seconds,
        "blocks": options.blocks,
        "contestants": {},
    }
    for seed in range(options.seeds):
        for who in options.contestants:
            run = _kept(folder / f"{who}-{seed}.json", who, seed, course, options)
            found["contestants"].setdefault(who, []).append(run)
            print(f"{who} seed {seed}: {run['best']}", file=sys.stderr)
    text = tables(found, PEERS, SHARES)
    print(text)
    if options.output:
        options.output.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        options.output.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    if options.figure:
        from _figures import draw_race

        draw_race(found["contestants"], options.seconds, options.figure)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="hpsearch, Keras Tuner and Optuna by hand, in the same time.")
    parser.add_argument("--data", default="cifar10", help="a named data set of images")
    parser.add_argument("--data-dir", type=Path, help="where it is looked for first")
    parser.add_argument("--train", type=int, default=4000, help="images to train on")
    parser.add_argument("--validation", type=int, default=2000, help="images to validate on")
    parser.add_argument("--space", type=Path, help="a space file, in place of --data, --train and --validation")
    parser.add_argument("--subset", type=int, help="of its data, as of hpsearch run")
    parser.add_argument("--seconds", type=int, default=480, help="for each contestant")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--again", type=int, default=3, help="seeds to train each winner again; 0: at a later call")
    parser.add_argument("--blocks", choices=("keras", "hpsearch"), default="keras", help="of the peers")
    parser.add_argument("--contestants", nargs="+", choices=(*PEERS, *OURS), default=[*PEERS, *OURS])
    parser.add_argument("--keep", type=Path, help="a folder for everything; what is there already is not run again")
    parser.add_argument("--output", type=Path, help="where to write a .json and a .md")
    parser.add_argument("--figure", type=Path, help="where to draw a .png; needs: pip install matplotlib")
    return parser.parse_args()


def _by_hand(options: argparse.Namespace, folder: Path) -> Course:
    """The choices of the race, on a named data set."""
    images = prepared(options.data, options.data_dir, options.train, options.validation, folder)
    text = SPACE.read_text(encoding="utf-8") + DATA.format(**images.declared)
    return Course(options.data, options.train, options.validation, images.job, text, [])


def _by_space(options: argparse.Namespace) -> Course:
    """What a space file says."""
    use_data_dir(options.data_dir)  # for the contestants, too
    space = load_space(options.space)
    if space.objective != OBJECTIVE:
        raise SystemExit(f"{options.space} wants {space.objective}; the race is for {OBJECTIVE}.")
    data = load_search_data(space.declaration, data_dir=options.data_dir, subset=options.subset)
    folder = None if options.data_dir is None else str(options.data_dir.resolve())
    place = {"space": str(options.space.resolve()), "data_dir": folder, "subset": options.subset}
    return Course(
        options.space.stem,
        len(data.train),
        len(data.validation),
        {"space": place},
        options.space.read_text(encoding="utf-8"),
        [*given("--data-dir", folder), *given("--subset", options.subset)],
    )


# ---- one contestant


def _kept(record: Path, who: str, seed: int, course: Course, options: argparse.Namespace) -> dict[str, Any]:
    """What a contestant found, from its record as far as that goes."""
    own = record.with_suffix("")
    own.mkdir(exist_ok=True)
    if not record.exists():
        record.write_text(json.dumps(_raced(who, seed, course, options, own)) + "\n", encoding="utf-8")
    run: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    if not run["unseen"] and options.again:
        again = _hpsearch_again if who in OURS else _peer_again
        run["unseen"] = _again_before(record.parent, run["winner"]) or again(run["winner"], course, options, own)
        record.write_text(json.dumps(run) + "\n", encoding="utf-8")
    return run


def _again_before(folder: Path, winner: Any) -> list[float]:
    """The scores of a winner that somebody found before: the same seeds would give the same again."""
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*-[0-9]*.json"))]
    same = (run["unseen"] for run in runs if _choices(run["winner"]) == _choices(winner))
    return next((scores for scores in same if scores), [])


def _choices(winner: Any) -> Any:
    """A winner without what Hyperband notes with its choices; how long a winner is trained again follows from none."""
    return winner if isinstance(winner, str) else {k: v for k, v in winner.items() if not k.startswith("tuner/")}


def _raced(who: str, seed: int, course: Course, options: argparse.Namespace, own: Path) -> dict[str, Any]:
    race = _hpsearch if who in OURS else _peer
    told = [each for each in race(who, seed, course, options, own) if each.seconds <= options.seconds]
    if not told:
        raise SystemExit(f"{who} has finished no epoch in {options.seconds} s; see {own}")
    best = max(told, key=lambda each: each.score)
    return {
        "seed": seed,
        "epochs": len(told),
        "trials": len({json.dumps(each.trial, sort_keys=True) for each in told}),
        "curve": _improvements(told),
        "best": best.score,
        "winner": _recipe(own, best.trial) if who in OURS else best.trial,
        "unseen": [],
        "load": os.getloadavg()[0],
    }


def _improvements(told: list[Told]) -> list[tuple[float, float]]:
    """When the best score so far rose, and to what."""
    curve: list[tuple[float, float]] = []
    for each in sorted(told, key=lambda each: each.seconds):
        if not curve or each.score > curve[-1][1]:
            curve.append((round(each.seconds, 2), each.score))
    return curve


def _peer(who: str, seed: int, course: Course, options: argparse.Namespace, own: Path) -> list[Told]:
    job = {**course.job, "who": who, "seed": seed, "blocks": options.blocks, "log": str(own / "log.jsonl")}
    (own / "job.json").write_text(json.dumps({**job, "folder": str(own)}), encoding="utf-8")
    (own / "log.jsonl").unlink(missing_ok=True)
    began = time.time()
    with (own / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, HERE / "_race_peer.py", own / "job.json"],
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=_environment(own, options.blocks),
        )
        _until(process, began + options.seconds)
    told, values = [], None
    for line in (own / "log.jsonl").read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        values = said.get("values", values)
        if "score" in said:
            told.append(Told(said["time"] - began, said["score"], values))

    return told


def _peer_again(winner: Any, course: Course, options: argparse.Namespace, own: Path) -> list[float]:
    seeds = list(range(100, 100 + options.again))
    return _final(own, {**course.job, "blocks": options.blocks, "values": winner, "seeds": seeds})


def _hpsearch(who: str, seed: int, course: Course, options: argparse.Namespace, own: Path) -> list[Told]:
    space = own / "race.py"
    space.write_text(course.text + COLD * (who == "hpsearch"), encoding="utf-8")
    results = own / "results"
    limits = ["--for", f"{options.seconds}s", "--seed", seed, *course.given]
    run = command("run", space, "--study", "race", *limits, results=results)
    trials = results / "race" / "trials"
    told: list[Told] = []
    began = time.time()
    with (own / "output.txt").open("w") as output:
        process = subprocess.Popen(run, stdout=output, stderr=output, start_new_session=True, env=_environment(own))
        seen: dict[Path, int] = {}
        while process.poll() is None and time.time() < began + options.seconds:
            time.sleep(0.25)
            told += _new_lines(trials, seen, time.time() - began)
        _until(process, 0)
    return told


def _recipe(own: Path, trial: int) -> str:
    """What a trial of hpsearch trained, as it would be written by hand."""
    path = own / "results" / "race" / "trials" / f"{trial:05}" / "recipe.py"
    return path.read_text(encoding="utf-8").strip()


def _hpsearch_again(winner: Any, course: Course, options: argparse.Namespace, own: Path) -> list[float]:
    models = [_saved(own, winner, course, at) for at in range(options.again)]
    return _final(own, {**course.job, "models": models})


def _new_lines(trials: Path, seen: dict[Path, int], now: float) -> list[Told]:
    """The epochs that were written since the last look."""
    told = []
    for path in trials.glob("[0-9]*/history.csv"):
        text = path.read_text(encoding="utf-8")
        rows = list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))
        told += [Told(now, float(row["val_accuracy"]), int(path.parent.name)) for row in rows[seen.get(path, 0) :]]
        seen[path] = len(rows)
    return told


def _saved(own: Path, found: str, course: Course, at: int) -> str:
    """The winner of hpsearch, trained again with another seed, as a file."""
    again = own / "again.py"
    more = f"\nfrom dataclasses import replace\n\nspace = replace(space, baselines={{'found': {found}}})\n"
    again.write_text((own / "race.py").read_text(encoding="utf-8") + more, encoding="utf-8")
    study, model = f"again_{at}", own / f"found_{at}.keras"
    limits = ["--trials", 0, "--seed", 100 + at, *course.given]
    run = command("run", again, "--study", study, *limits, results=own / "results")
    save = command("save", "found", model, "--study", study, results=own / "results")
    for each in (run, save) if not model.exists() else ():
        subprocess.run(each, check=True, stdout=subprocess.DEVNULL, env=_environment(own))
    return str(model)


def _environment(own: Path, blocks: str = "hpsearch") -> dict[str, str]:
    """That of a contestant, who finds nothing in a cache that another left."""
    said = {"PYTHONPATH": str(SOURCE), "TF_CPP_MIN_LOG_LEVEL": "3", "HPSEARCH_CACHE": str(own / "cache")}
    return {**os.environ, **said, **({"HPSEARCH_FEATURES": "off"} if blocks == "keras" else {})}


def _final(own: Path, job: dict[str, Any]) -> list[float]:
    path = own / "final.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    told = subprocess.run(
        [sys.executable, HERE / "_race_final.py", path],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        env=_environment(own),
    )
    scores: list[float] = json.loads(told.stdout.splitlines()[-1])
    return scores


def _until(process: subprocess.Popen[bytes], deadline: float) -> None:
    """Let a process run until a time, then end it and all that it started."""
    try:
        process.wait(max(deadline - time.time(), 0.01))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    raise SystemExit(main())
