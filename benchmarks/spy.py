"""Where the seconds of a search go, as py-spy sees them from outside.

Claims nothing. `hpsearch run` trains the six networks of `overhead.py`, and py-spy looks at all its processes a hundred
times a second. What the main thread of the worker is at, waiting included, is told as shares of the time from its first
trial to its last; so nothing in hpsearch has to be told to measure itself, and nothing can be forgotten: what is not
known is "everything else". `seconds.py` takes the same apart with a stopwatch, for one trial. JAX goes on while the
device calculates and waits where a result is first asked for, so there steps and validation cannot be told apart.

    pip install py-spy
    python benchmarks/spy.py --output results/reference/spy_tensorflow.md
    KERAS_BACKEND=jax python benchmarks/spy.py --epochs 3

py-spy needs the right to look at the processes that it starts: on Linux every user has it, on macOS root alone.
"""

# ruff: noqa: T201  # a table on standard output is what this is for

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import overhead
from _machine import machine, words
from _searches import SOURCE, command

RATE = 100
"""Looks a second."""

STEPS, VALIDATION = "steps of training", "validation"
STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("waiting for the coordinator", ("Pipe.ask (", "Pipe.task (")),
    ("measuring the network before it is built", ("hpsearch/training/measure.py",)),
    ("building it", ("Trainer.built (",)),
    ("checkpoints", ("hpsearch/training/saving.py", "hpsearch/training/checkpoint.py")),
    ("statistics of batch normalisation", ("hpsearch/training/statistics.py",)),
    (
        "tracing and compiling",
        (
            "trace_function (",
            "TFTrainer.compile (",
            "hpsearch/training/compiling.py",
            "jax/_src/interpreters/partial_eval.py",
            "jax/_src/compiler.py",
            "jax/_src/interpreters/mlir.py",
        ),
    ),
    ("score on training images", ("evaluate (hpsearch/training/fit.py",)),
    (VALIDATION, ("Trainer.evaluate (",)),
    (STEPS, ("Trainer.fit (",)),
)
"""What a stack belongs to: the first of these of which it has a frame."""
ELSE = "everything else"


def main() -> int:
    """Run, and print what was seen."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        space = overhead.space_file(folder, options.epochs, options.images)
        seen = shares(_watched(folder, space))
    table = _table(options, seen)
    print(table)
    if options.output:
        options.output.write_text(table + "\n", encoding="utf-8")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the processes of a search are at.")
    parser.add_argument("--epochs", type=int, default=6, help="of each network")
    parser.add_argument("--images", type=int, default=5000, help="a fifth of them to validate on")
    parser.add_argument("--output", type=Path, help="a .md for the table")
    return parser.parse_args()


def _watched(folder: Path, space: Path) -> list[str]:
    """A search under the eyes of py-spy: its stacks, each followed by how often it was seen."""
    stacks = folder / "stacks.txt"
    run = command("run", space, "--trials", 0, results=folder / "results")
    spy = ["py-spy", "record", "--subprocesses", "--idle", "--rate", RATE, "--format", "raw", "--output", stacks, "--"]
    try:
        subprocess.run(
            [str(each) for each in (*spy, *run)],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
    except FileNotFoundError:
        raise SystemExit("py-spy is not there; install it with: pip install py-spy") from None
    return stacks.read_text(encoding="utf-8").splitlines()


def shares(stacks: Iterable[str]) -> Counter[str]:
    """How often the worker was seen at each stage of its trials.

    Args:
        stacks: Lines of py-spy's raw format: frames from the outermost on, between semicolons, then a number.
    """
    seen: Counter[str] = Counter()
    for line in stacks:
        stack, _, times = line.rpartition(" ")
        own = re.split(r'process \d+:"[^"]*"', stack)[-1]
        # What the worker does before its first trial is done once in a search.
        if "worker.py" in own and "Trainer.ready (" not in own and "Trainer.__init__ (" not in own:
            seen[_stage(own)] += int(times)
    return seen


def _stage(stack: str) -> str:
    return next((stage for stage, marks in STAGES if any(mark in stack for mark in marks)), ELSE)


def _table(options: argparse.Namespace, seen: Counter[str]) -> str:
    every = sum(seen.values())
    rows = [(stage, seen[stage]) for stage, _ in STAGES] + [(ELSE, seen[ELSE])]
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend == "jax":
        both = sum(seen[stage] for stage in (STEPS, VALIDATION))
        rows = [row for row in rows if row[0] not in (STEPS, VALIDATION)]
        rows.insert(-1, (f"{STEPS}, and {VALIDATION}", both))
    return "\n".join(
        [
            f"{words(machine())}; Keras on {backend}",
            (
                f"{len(overhead.WIDTHS)} networks, {options.epochs} epochs of {options.images * 4 // 5} images each; "
                f"{every:,} looks at the worker, {RATE} a second"
            ),
            "",
            "| the worker is at | seconds | share |",
            "| --- | --- | --- |",
            *(f"| {stage} | {times / RATE:.2f} | {times / every:.1%} |" for stage, times in rows),
            f"| in all | {every / RATE:.2f} | |",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
