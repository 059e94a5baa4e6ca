"""How long a free slot waits for its next trial, when there are many in the record.

Claim: under 50 ms with 1,000 trials in the record, for the default strategy.

The search is that of `hpsearch run`: the coordinator, the strategy, Optuna's SQLite database, the folders of trials.
Only training is left out. What stands for a worker makes the choices of the race's space as workers do, and answers
with scores that are made up; so a thousand trials take a minute. A slot waits from its worker's last word about a trial
until the worker may build the network of the next one: the record of the trial that ended, telling the strategy,
tidying, the proposal, every choice and the resolving of the recipe are in it, and proposals that turn out to have been
trained before. Only the pipe between two processes is not.

Some strategies make their proposals while trials are trained. So what stands for a worker waits for a moment before it
says that it has trained; models that take longer want more of it, and are asked only for the last trials of a record
that is filled at random.

    python benchmarks/handover.py --output results/reference/handover
    python benchmarks/handover.py --strategies adaptive --trials 3000 --slots 8
    python benchmarks/handover.py --strategies kt-bayesian gp --known 992 --training 30 \
        --output results/reference/handover_models
"""

# ruff: noqa: T201  # a table on standard output is what this is for

from __future__ import annotations

import argparse
import json
import os
import queue
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

from _machine import machine, words

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "search"))

from hpsearch import launch  # noqa: E402 - it is found by the line above
from hpsearch.declare import source  # noqa: E402
from hpsearch.describe import describe  # noqa: E402
from hpsearch.events import Silent  # noqa: E402
from hpsearch.executors.base import Health, Heard, Slot  # noqa: E402
from hpsearch.hardware import HardwareOptions  # noqa: E402
from hpsearch.limits import Limits  # noqa: E402
from hpsearch.messages import (  # noqa: E402
    Chosen,
    Continued,
    Drop,
    EpochDone,
    Failed,
    Go,
    Halt,
    Leave,
    Left,
    Measured,
    Ready,
    Resolved,
    Suggest,
    Train,
    Trained,
)
from hpsearch.recipe import recipe_hash  # noqa: E402
from hpsearch.resolve import resolve  # noqa: E402
from hpsearch.spacefile import load_space  # noqa: E402
from hpsearch.study.trial import Epoch  # noqa: E402

SPACE = HERE / "spaces" / "race.py"
EPOCHS = 3
LIMIT = 0.05
MARKS = (100, 300, 1000, 3000)
LAST = 50
"""Over so many trials, up to a number of trials in the record, the waits are counted."""


def main() -> int:
    """Measure the strategies, and say it; 1 where the claim does not hold."""
    options = _options()
    found: dict[str, Any] = {
        "machine": machine(),
        "load": os.getloadavg()[1],
        "slots": options.slots,
        "known": options.known,
        "training": options.training,
        "marks": sorted({mark for mark in MARKS if options.known < mark < options.trials} | {options.trials}),
        "waits": {},
    }
    for strategy in options.strategies:
        with tempfile.TemporaryDirectory() as scratch:
            known = {"known": options.known, "training": options.training}
            waits = searched(Path(scratch), strategy, options.trials, options.slots, **known).waits
        upto = {mark: mark - options.known for mark in found["marks"]}
        found["waits"][strategy] = {mark: waits[max(0, end - LAST) : end] for mark, end in upto.items()}
        print(f"{strategy}: {len(waits)} handed over", file=sys.stderr)
    text = _table(found)
    print(text)
    if options.output:
        options.output.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        options.output.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    default = found["waits"].get("adaptive")
    return int(default is not None and statistics.median(default[options.trials] or [LIMIT]) >= LIMIT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--strategies", nargs="+", default=["adaptive", "tpe", "random", "kt-hyperband"])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--known", type=int, default=0, help="trials that are in the record before, made at random")
    parser.add_argument("--training", type=float, default=0.1, help="seconds that a trial stands for its training")
    parser.add_argument("--slots", type=int, default=1, help="trials at a time; one proposal is made after the other")
    parser.add_argument("--output", type=Path, help="where to write a .json and a .md")
    return parser.parse_args()


def searched(
    results: Path, strategy: str, trials: int, slots: int, *, known: int = 0, training: float = 0.0
) -> Standing:
    """What stood for the workers of a search, when it is over.

    Args:
        results: The folder for the study.
        strategy: Who proposes.
        trials: How many.
        slots: How many at a time.
        known: How many of them are proposed at random before.
        training: Seconds that each of the others takes.
    """
    if known:
        _stood(results, strategy, known, slots, 0.0, "random")
    return _stood(results, strategy, trials, slots, training, strategy)


def _stood(results: Path, strategy: str, trials: int, slots: int, training: float, proposes: str) -> Standing:
    """Go on with a study of a strategy up to a number of trials; another may propose in its place."""
    made: list[Standing] = []

    def standing(setup: Any, places: Any) -> Standing:
        made.append(Standing(setup.space_file, places, training))
        return made[-1]

    def open_strategy(*arguments: Any, **options: Any) -> Any:
        return real_strategy(*arguments, **{**options, "strategy": proposes})

    request = launch.Request(
        SPACE,
        results,
        limits=Limits(trials=trials, epochs=EPOCHS, baselines=False),
        strategy=strategy,
        hardware=HardwareOptions("cpu"),
        per_device=slots,
    )
    real, launch.LocalExecutor = launch.LocalExecutor, standing  # type: ignore[assignment,misc]  # it trains nothing
    real_strategy, launch.open_strategy = launch.open_strategy, open_strategy
    try:
        launch.run_search(request, lambda *_: nullcontext(Silent()))
    finally:
        launch.LocalExecutor = real  # type: ignore[misc]  # as above
        launch.open_strategy = real_strategy
    return made[0]


class Standing:
    """An executor whose workers are threads that choose as workers do, and make scores up.

    Args:
        space_file: What is searched.
        slots: Where.
        training: Seconds that a trial takes.
    """

    def __init__(self, space_file: Path, slots: tuple[Slot, ...], training: float = 0.0) -> None:
        self.slots = slots
        self.training = training
        self.setup: Any = None
        self.space = load_space(space_file)
        self.waits: list[float] = []
        """Seconds that slots waited for each trial but their first ones, in the order of the trials."""
        self._heard: queue.SimpleQueue[Heard | None] = queue.SimpleQueue()
        self._told: dict[int, queue.SimpleQueue[Any]] = {}
        self._free: dict[int, float] = {}  # since when each slot waits
        self._epochs: dict[Path, int] = {}  # how far each trial got, by its folder

    def start(self, slot: int) -> None:
        self._told[slot] = queue.SimpleQueue()
        threading.Thread(target=self._work, args=(slot,), daemon=True).start()
        ready = Ready(describe(self.space), "", tuple(map(str, range(10))), 4000, 2000, (), {}, {})
        self._heard.put(Heard(slot, ready))

    def send(self, slot: int, message: Any) -> None:
        self._told[slot].put(message)

    def listen(self, seconds: float) -> list[Heard]:
        try:
            heard = self._heard.get(timeout=seconds)
        except queue.Empty:
            return []
        if heard is not None and isinstance(heard.message, Trained | Failed | Left):
            self._free.setdefault(heard.slot, time.perf_counter())
        return [heard] if heard is not None else []

    def health(self, slot: int) -> Health:
        return Health(None, alive=True, stopped=False, memory=0)

    def kill(self, slot: int) -> None:
        raise AssertionError(f"nothing is wrong with slot {slot}")

    def dismiss(self, slot: int) -> None:
        self._told[slot].put(None)

    def wake(self) -> None:
        self._heard.put(None)

    def close(self) -> None:
        for told in self._told.values():
            told.put(None)
        self._told.clear()

    def _work(self, slot: int) -> None:
        told = self._told[slot]

        def ask(message: Any) -> Any:
            self._heard.put(Heard(slot, message))
            return told.get()

        while isinstance(task := told.get(), Train):
            self._heard.put(Heard(slot, self._trained(slot, task, ask)))

    def _trained(self, slot: int, task: Train, ask: Callable[[Any], Any]) -> Any:
        def suggest(parameter: Any) -> Any:
            chosen: Chosen = ask(Suggest(parameter))
            return chosen.value

        recipe, most = resolve(self.space.search, suggest), task.epochs or EPOCHS
        said = recipe_hash(recipe)
        if isinstance(ask(Resolved(source(recipe), said, most)), Drop):
            return Drop()
        if slot in self._free:
            self.waits.append(time.perf_counter() - self._free.pop(slot))
        ask(Measured(10_000, 1_000_000, 10_000_000))
        done = self._epochs.get(task.parent, 0) if task.parent else 0
        if done:
            ask(Continued(done))
        good = Random(said).random()
        time.sleep(self.training)
        while done < most:
            done += 1
            self._epochs[task.folder] = done
            score = good * (1 - 0.5**done)
            metrics = {"loss": 1.0, "accuracy": score, "val_loss": 1.0, "val_accuracy": score}
            answer = ask(EpochDone(Epoch(done, 0.01, metrics)))
            if isinstance(answer, Leave):
                return Left(done)
            if isinstance(answer, Halt):
                break
            assert isinstance(answer, Go), answer
        return Trained(good * (1 - 0.5**done), done, None)


def _table(found: dict[str, Any]) -> str:
    marks, slots = found["marks"], found["slots"]
    lines = [
        f"{words(found['machine'])}; load {found['load']:.1f}",
        (
            f"the space of the race, {slots} trial{'s' * (slots > 1)} at a time, each for {found['training']:g} s"
            f"{_of_them(found['known'])}; milliseconds from the end of a trial until the next one is known, the median "
            f"of {min(LAST, found['marks'][-1] - found['known'])} trials (and the longest)"
        ),
        "",
        f"| trials in the record | {' | '.join(f'{mark:,}' for mark in marks)} |",
        f"| --- |{' --- |' * len(marks)}",
    ]
    for strategy, waits in found["waits"].items():
        lines.append(f"| {strategy} | {' | '.join(_cell(waits[mark]) for mark in marks)} |")
    return "\n".join(lines)


def _cell(waits: list[float]) -> str:
    """The median and the longest; a dash where the search ended before."""
    return f"{1000 * statistics.median(waits):.0f} ({1000 * max(waits):.0f})" if waits else "-"


def _of_them(known: int) -> str:
    return f", the first {known:,} of them at random and in no time" if known else ""


if __name__ == "__main__":
    raise SystemExit(main())
