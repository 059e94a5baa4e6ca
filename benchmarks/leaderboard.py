"""How long ``hpsearch leaderboard`` takes from a cold start, with many trials, and while a run writes.

Claim, for a machine of two cores with nothing else to do: with 1,000 trials it takes less than 1.5 seconds, the start
of Python included, in every form, on a terminal and in a pipe, alone and while a run writes.

A study is made with the study-folder API as a search leaves it: recipes, answers, scores and histories. Every form of
the command is called as a process of its own, ``--repeats`` times, with the files in the system's memory; before all of
them once without, where ``--drop-caches`` is given. Then the same is done while a thread holds the study as a
coordinator does and ends a trial every ``--pause`` seconds; each of its writes is timed, and once without readers.

Seconds on the clock depend on what else the machine does; seconds of the processor, of the same calls, hardly do.

    python benchmarks/leaderboard.py
    python benchmarks/leaderboard.py --trials 10000 --repeats 5 --output leaderboard.json
"""

# ruff: noqa: T201  # a table on standard output is what this is for

from __future__ import annotations

import argparse
import json
import os
import pty
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from _machine import machine, words
from _searches import SOURCE, command

from hpsearch.study.folder import StudyFolder, StudyInfo
from hpsearch.study.live import Live, LiveSlot, write_live
from hpsearch.study.lock import Holder
from hpsearch.study.trial import Epoch, Trial

FORMS: dict[str, tuple[str, ...]] = {
    "in a pipe": (),
    "--json": ("--json",),
    "--where, --pareto, --sort": (
        "--where",
        "parameters<2e6 and state==COMPLETE",
        "--pareto",
        "val_accuracy,parameters,time",
        "--sort",
        "time",
    ),
}
RECIPE = """Recipe(
    model=Model(
        body=ConvNet(stages=(Stage(filters=({a}, {a})), Stage(filters={b})), batchnorm="once_per_stage", dropout=0.2),
        pooling="average",
        dense=(Dense(units={c}, dropout=0.3), Dense(units=64)),
    ),
    training=Training(epochs=30, early_stopping=5, batch_size=128, optimizer=Adam(learning_rate=0.00{a})),
)"""
LIMIT = 1.5


def trial(number: int, chance: random.Random) -> Trial:
    """A trial as a search leaves it."""
    a, b, c = (chance.randrange(16, 256, 8) for _ in range(3))
    score = 0.4 + chance.random() / 2
    failed = number % 20 == 7
    return Trial(
        number,
        state="FAIL" if failed else "PRUNED" if number % 5 == 1 else "COMPLETE",
        baseline=f"by_hand_{number}" if number < 10 else None,
        answers={f"model.body.stages[{place}].filters[0]": a for place in range(12)},
        recipe=RECIPE.format(a=a, b=b, c=c),
        hash=f"{number:032x}",
        parameters=chance.randrange(10**4, 3 * 10**6),
        flops=chance.randrange(10**6, 10**9),
        memory=10**9,
        device="gpu 0",
        score=None if failed else score,
        train_score=None if failed else min(score + chance.random() / 5, 1.0),
        best_epoch=None if failed else 20,
        epochs=0 if failed else 30,
        epochs_budget=30,
        seconds=chance.uniform(10, 1000),
        failure="out_of_memory" if failed else None,
        message="there was no room for the network" if failed else "",
        started=1.76e9,
        finished=1.76e9,
    )


def epochs(count: int) -> list[Epoch]:
    """A history."""
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    return [Epoch(number, 3.0, dict.fromkeys(names, 1 / number)) for number in range(1, count + 1)]


def make_study(results: Path, trials: int) -> StudyFolder:
    """A study of so many trials."""
    folder = StudyFolder(results / "many")
    info = StudyInfo(
        name="many",
        objective="max val_accuracy",
        space_file="spaces/cifar.py",
        space_text="",
        space_fingerprint="",
        data_text='"cifar10"',
        data_fingerprint="",
        class_names=[str(number) for number in range(10)],
        train_images=45_000,
        validation_images=5_000,
        subset=None,
        seed=0,
        epochs=None,
        created=1.76e9,
    )
    folder.create(info, "space = ...\n")
    chance = random.Random(0)
    for number in range(trials):
        folder.trial(number).write(trial(number, chance))
        folder.trial(number).write_history(epochs(30))
    return folder


class Took(NamedTuple):
    """Seconds of one call: on the clock, and of the processor."""

    clock: float
    processor: float


def used() -> float:
    """Seconds of the processor that processes which have ended took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def call(results: Path, form: tuple[str, ...]) -> Took:
    """One call, its output read to the end."""
    began, before = time.perf_counter(), used()
    done = subprocess.run(
        command("leaderboard", *form, results=results), env=environment(), capture_output=True, text=True, check=True
    )
    took = Took(time.perf_counter() - began, used() - before)
    assert not done.stderr, done.stderr
    assert done.stdout
    return took


def call_on_terminal(results: Path, form: tuple[str, ...]) -> Took:
    """One call that finds a terminal."""
    ours, theirs = pty.openpty()
    began, before = time.perf_counter(), used()
    process = subprocess.Popen(
        command("leaderboard", *form, results=results), env=environment(), stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        while os.read(ours, 1 << 16):
            pass
    except OSError:  # the terminal closes with its last process
        pass
    assert process.wait() == 0
    os.close(ours)
    return Took(time.perf_counter() - began, used() - before)


def environment() -> dict[str, str]:
    """Of the commands."""
    return {**os.environ, "PYTHONPATH": str(SOURCE), "TERM": "xterm"}


@contextmanager
def writing(folder: StudyFolder, trials: int, pause: float) -> Iterator[list[float]]:
    """Write to the study as a coordinator does, in this process; the seconds of each write are what is given."""
    over = threading.Event()
    chance = random.Random(1)
    took: list[float] = []

    def write() -> None:
        here = Holder.here()
        with folder.writing():
            number = trials
            while not over.wait(pause):
                one = trial(number % trials, chance)
                began = time.perf_counter()
                folder.trial(one.number).write(one)
                slots = [LiveSlot("gpu 0", here.pid, one.number, one.name, 3, 30)]
                now = time.time()
                write_live(folder, Live(here.pid, here.host, here.boot, here.since, now, 1.0, "running", slots=slots))
                took.append(time.perf_counter() - began)
                number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()


def drop_caches() -> bool:
    """Make the system forget the files that it holds in memory; False where that is not allowed."""
    try:
        subprocess.run(["sync"], check=True)
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def measured(results: Path, repeats: int) -> dict[str, list[Took]]:
    """Every form, so many times."""
    found = {name: [call(results, form) for _ in range(repeats)] for name, form in FORMS.items()}
    for name, form in (("on a terminal", ()), ("on a terminal, --top 1000", ("--top", "1000"))):
        found[name] = [call_on_terminal(results, form) for _ in range(repeats)]
    return found


def line(name: str, alone: list[Took], beside: list[Took]) -> str:
    """A line of the table."""
    cells = []
    for took in (alone, beside):
        clock = [one.clock for one in took]
        cells += [statistics.median(clock), max(clock), statistics.median(one.processor for one in took)]
    return f"{name:<28}" + "".join(f"{cell:>11.2f}" for cell in cells)


def main() -> int:
    """Measure, and say it; 1 where the claim does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two writes of the run")
    parser.add_argument("--drop-caches", action="store_true", help="once, before the first call; needs root")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    said = machine()
    print(f"{asked.trials:,} trials, {asked.repeats} calls each; {words(said)}")
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch)
        folder = make_study(results, asked.trials)
        cold = call(results, ()) if asked.drop_caches and drop_caches() else None
        alone = measured(results, asked.repeats)
        with writing(folder, asked.trials, asked.pause) as unread:
            time.sleep(asked.repeats * 0.5)
        with writing(folder, asked.trials, asked.pause) as read:
            beside = measured(results, asked.repeats)
    if cold is not None:
        print(
            f"first call, nothing in the system's memory: {cold.clock:.2f} s, {cold.processor:.2f} s of the processor"
        )
    print(f"{'':<28}{'alone: s':>11}{'most':>11}{'processor':>11}{'beside: s':>11}{'most':>11}{'processor':>11}")
    for name, took in alone.items():
        print(line(name, took, beside[name]))
    for name, writes in (("nobody reads", unread), ("somebody reads", read)):
        print(
            f"a write while {name}: median {statistics.median(writes) * 1000:.1f} ms, most {max(writes) * 1000:.1f} ms"
        )
    slowest = max(one.clock for took in (*alone.values(), *beside.values()) for one in took)
    print(f"slowest call {slowest:.2f} s: the claim of {LIMIT} s {'holds' if slowest < LIMIT else 'DOES NOT HOLD'}")
    if asked.output:
        found = {"machine": said, "trials": asked.trials, "first": cold, "alone": alone, "beside": beside}
        writes = {"nobody_reads": unread, "somebody_reads": read}
        asked.output.write_text(json.dumps({**found, "writes": writes}, indent=1) + "\n", encoding="utf-8")
    return int(slowest >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
